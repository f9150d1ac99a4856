"""Other libraries' interfaces on top of lambda_kit, so that what was written for them runs here."""
