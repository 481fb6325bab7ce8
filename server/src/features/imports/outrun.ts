/** Something that the job relied on changed while it ran: it begins anew. */
export class Outrun extends Error {}
