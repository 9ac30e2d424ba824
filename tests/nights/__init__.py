"""Generated nights of healthy and faulty jobs, to measure what the health rules find and what they accuse wrongly."""
