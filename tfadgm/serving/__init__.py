"""A trained model as a service: what an export answers, what an operator needs beside it, and a client of it."""
