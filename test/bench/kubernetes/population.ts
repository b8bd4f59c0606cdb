/**
 * Orders to the population: agents of virtual nodes in one process, each with its own connection,
 * reporting at a fixed pace until told that a GPU of theirs failed.
 */
export type PopulationSettings = {
  url: string;
  /** Each agent reports a sample this often, and a full check with every sixth. */
  everyMs: number;
};

export type PopulationOrder =
  | { do: "add"; agents: { name: string; token: string }[] }
  /** The first GPU of each fails; the reports are spread evenly over `withinMs`. */
  | { do: "fault"; names: string[]; withinMs: number; xid: number }
  | { do: "tell" };

export type PopulationAnswer = {
  agents: number;
  reports: number;
  errors: string[];
  /** By how much sends of this order were late, in ms: the generator's own delay. */
  lagMs: number;
  /** Wall ms at which each report with the fault was handed to the socket. */
  sent: Record<string, number>;
};
