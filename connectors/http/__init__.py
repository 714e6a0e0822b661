"""HTTP: a JSON API that is polled, webhooks that come in, webhooks that go out."""
