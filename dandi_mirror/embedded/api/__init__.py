"""The REST API over HTTP: the endpoints, their routes, authentication, and the form of answers."""
