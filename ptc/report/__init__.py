"""`ptc report`: a run as one page, as a document, and as figures. `docs/reports.md` says what they show."""
