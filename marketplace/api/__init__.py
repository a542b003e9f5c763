"""What is said over HTTP, as typed records, and the one strict reader of it: for the gateway, the SDK and the agent alike.

Nothing here sends, serves or decides. A record says what a noun looks like on the wire and in which bounds; who reads one
gets domain values, or one typed error that names the field and the rule.
"""
