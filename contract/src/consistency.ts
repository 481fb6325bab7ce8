/**
 * The header `Consistency`: how much older than the last acknowledged write an answer may be. `strong`: the primary answers.
 * `usual`, without the header: nothing is missing that was acknowledged through this instance before the read. `eventual`:
 * what others wrote in the last five seconds may be missing.
 */
export type Consistency = 'strong' | 'usual' | 'eventual';
