"""What is read off the declared operations: OpenAPI, help texts, reference pages. Plain functions over `Engine`."""
