"""A port of a job opened to others over HTTP, on an origin of its own, by the machine of whoever ordered the job."""
