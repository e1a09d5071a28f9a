"""Short answers, bottom-up: relations are learnt from questions, and facts are invented for them."""
