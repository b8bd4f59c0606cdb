/** What a refused change of a node that does not exist tells about this user's rights. */
import { expect, test } from "bun:test";
import type { SlurmAnswer } from "../core/slurm/client.ts";
import { askRights } from "./rights.ts";

async function rightsOf(answer: SlurmAnswer<null>) {
  const asked: unknown[] = [];
  const update = async (...args: unknown[]) => (asked.push(args), answer);
  return { rights: await askRights({ update }), asked };
}
const refused = (message: string) => ({ kind: "refused", message }) as const;

test("askRights() changes the reason of one node that no list has", async () => {
  const { rights, asked } = await rightsOf(refused("Invalid node name specified"));
  expect(asked).toEqual([[["navarch-no-such-node"], { reason: "navarch:operator PROBE" }]]);
  expect(rights).toEqual({ allowed: true, message: null });
});

test("askRights() tells rights, their absence, and what cannot be told apart", async () => {
  const allowed = { allowed: true, message: null };
  expect((await rightsOf({ kind: "ok", value: null })).rights).toEqual(allowed);
  const denied = "slurm_update error: Invalid user id";
  const no = (await rightsOf(refused(denied))).rights;
  expect(no).toEqual({ allowed: false, message: denied });
  const away = "Unable to contact slurm controller (connect failure)";
  const unknown = (await rightsOf({ kind: "failed", message: away })).rights;
  expect(unknown).toEqual({ allowed: null, message: away });
  // What is told while slurmctld or munged is dead speaks of access, and is no denial.
  for (const dead of [
    "slurm_load: Unable to contact slurm controller: access denied",
    "Munge encode failed: Failed to access /run/munge/munge.socket.2",
    "Protocol authentication error: Unable to contact slurm controller (connect failure)",
  ]) {
    expect((await rightsOf({ kind: "failed", message: dead })).rights.allowed).toBeNull();
  }
});
