/** A change in the virtual controller's journal, with what was so at that moment. */
export type SlurmWrite = {
  /** Wall milliseconds. */
  at: number;
  /** Or the job that was requeued or signalled; `reason` is where it ran. */
  node: string;
  what: string;
  reason: string | null;
  /** `api` = through the port; `slurm` = the controller itself; else a person's name. */
  by: string;
  /** Why it was drained or DOWN before; `null` = it was in service. */
  over: string | null;
  /** How long that reason had been there. */
  overMs: number;
  /** Jobs that ran on the node, or whose epilog did. */
  jobs: readonly string[];
  /** Since its machine stopped; 0 = a slurmd of a machine that runs is registered. */
  goneMs: number;
};

/** A write about a job: `node` is its id, and `reason` has its nodes. */
export const isJobOrder = (what: string): boolean => /^(requeue|requeuehold|signal)$/.test(what);
