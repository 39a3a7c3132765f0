"""Wire protocols. A dialect turns bytes into requests and outcomes into bytes; it holds no rules and no data."""
