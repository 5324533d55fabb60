"""Services: from objects of the API to frontends and backends."""
