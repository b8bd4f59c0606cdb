/**
 * Whether Slurm lets this process change nodes: it asks for a change of a node that does not exist,
 * which is refused for the one reason or the other, and changes nothing.
 */
import type { SlurmClient } from "../core/slurm/client.ts";
import type { SlurmRights } from "../core/slurm/sink.ts";

/** No list has it; a change of the reason alone would drain nothing anyway. */
const ABSENT = "navarch-no-such-node";
/** "Invalid user id" is what a user without rights is told (22.05.8). */
const DENIED = /invalid user|access|permission|denied|authori[sz]|authenti|privilege/i;
const UNKNOWN_NODE = /invalid node|not found|no such node|unable to find|invalid nodelist/i;

/** slurmctld, munged or the network is away: nothing is said about rights. */
const AWAY = /unable to contact|connect|no answer|timed? ?out|munge|socket/i;

export async function askRights(client: Pick<SlurmClient, "update">): Promise<SlurmRights> {
  const answer = await client.update([ABSENT], { reason: "navarch:operator PROBE" });
  if (answer.kind === "ok") return { allowed: true, message: null };
  const { message } = answer;
  if (UNKNOWN_NODE.test(message)) return { allowed: true, message: null };
  const isDenied = DENIED.test(message) && !AWAY.test(message);
  return { allowed: isDenied ? false : null, message };
}
