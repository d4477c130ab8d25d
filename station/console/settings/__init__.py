"""Settings: `config.toml` as forms and as text, checked, compared, applied, and put back."""
