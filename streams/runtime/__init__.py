"""Transport, partition, transaction, store, recovery, established time: knows bytes and Kafka, not journeys.

Beneath a Faust app, `service.install` runs *stages*. Each partition of a stage's input has a `processor.Processor`, which
turns records into `processor.Effects`; the runtime writes these, with the consumed offset, in one Kafka transaction,
then to the local `store.Store`, then goes on.

    transport    hands whole batches of a partition to Faust's agents
    partition    queue, task and transaction loop of one partition
    transaction  one transactional producer: all or nothing
    ownership    which partitions run here: fence, committed offset, restore, seek
    recovery     stores brought up to their changelogs
    time         established time, without Kafka; timekeeper, coordinator and timelog are its Kafka side
    service      the joint with Faust, status, watchdog, the end of a worker
"""
