"""Writers that ask a language model: one by URL (`served`), one in this process (`local`)."""
