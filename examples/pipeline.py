"""A pipeline in three phases with progress and memory: ETLContext, tied to a run.

Run it: python examples/pipeline.py
"""

from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker

CONVERSATIONS = [{"id": number, "messages": number % 7 + 1} for number in range(500)]

tracker = SimpleETLTracker()
with ETLRunContext(tracker, "Conversation import", job="conversation-import") as run:
    context = ETLContext(batch_size=50, memory_limit_mb=1024, run=run)
    messages = sum(each["messages"] for each in CONVERSATIONS)

    with context.phase("extract", total_conversations=len(CONVERSATIONS), total_messages=messages):
        extracted = []
        for start in range(0, len(CONVERSATIONS), context.batch_size):
            batch = CONVERSATIONS[start : start + context.batch_size]
            extracted += batch
            context.update_progress(conversations=len(batch), messages=sum(each["messages"] for each in batch))

    with context.phase("transform", total_conversations=len(extracted)):
        transformed = [each | {"long": each["messages"] > 5} for each in extracted]
        context.update_progress(conversations=len(transformed))

    with context.phase("load", total_conversations=len(transformed)):
        context.update_progress(conversations=len(transformed))

    context.finalize()
    print(context.get_phase_status("load"), context.statistics["total"]["messages_processed"], "messages")
