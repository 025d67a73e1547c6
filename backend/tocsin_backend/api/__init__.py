"""The JSON API under /api/v1: gateways' endpoints, and what people and scripts may see and do."""
