"""A market that has something to show: for the page's pictures, its tests, and whoever builds it."""
