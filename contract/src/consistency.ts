/**
 * The header `Consistency`: how much older than the last acknowledged write an answer may be. `strong`: the primary answers.
 * `usual`, without the header: the answer includes everything that this instance acknowledged before the read. `eventual`: writes
 * of other instances in the last five seconds may be missing.
 */
export type Consistency = 'strong' | 'usual' | 'eventual';
