"""From a Service to a backend and on to the device that leads there: service.h, nat.h, reject.h and deliver.h."""
