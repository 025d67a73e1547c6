"""The only SQL of the backend. Tables in tables.py; queries in files named for what they read and write."""
