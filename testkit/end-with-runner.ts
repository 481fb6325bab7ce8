/** A test process outlives a runner that is killed, unless it watches its channel to it. */
function endWithRunner(): never {
  process.exit(1);
}

// This file is loaded for each test file, and a process may have many of those.
if (!process.listeners('disconnect').some(({ name }) => name === endWithRunner.name)) {
  process.once('disconnect', endWithRunner);
}
