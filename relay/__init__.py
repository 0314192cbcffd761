"""faxrelay: the service. Everything that knows the database, the clock and the network."""
