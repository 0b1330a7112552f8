"""Family trees: who belongs together in a panel, how sure that is, and who came from whom where that is shown."""
