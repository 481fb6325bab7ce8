/** A test process outlives a runner that is killed, unless it watches its channel to it. */
process.once('disconnect', () => process.exit(1));
