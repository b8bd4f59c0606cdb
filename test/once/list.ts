/**
 * Long proofs by name, for `npm run once -- NAME`: one line each. The command is run by Bun from
 * the repository's root with `--figures FILE` added; it writes its figures there as one JSON object
 * and ends with status 0 only if what it proves holds.
 */
export type Proof = { summary: string; command: readonly string[] };

export const PROOFS: Readonly<Record<string, Proof>> = {
  torture: proof("2,000 kills of the control plane", "test/torture/main.ts --kills 2000"),
  leader: proof("100 kills of the leader of two", "test/real/leader-loop.ts --kills 100"),
  schedules: proof(
    "two million schedules of crashes",
    "test/sim/schedules/main.ts --schedules 1000000 --seed 20261121",
  ),
  interleavings: proof(
    "10,000 stories of a person and the product on one cordon of a real API server",
    "test/real/kubernetes/interleaving.ts --count 10000",
  ),
  scenarios: proof("the shipped scenarios that take minutes", "test/simulate/main.ts"),
  mutations: proof("every mechanism taken out is missed", "test/sim/mutation/main.ts"),
};

/** `command` is a program with its arguments, separated by single spaces. */
function proof(summary: string, command: string): Proof {
  return { summary, command: command.split(" ") };
}
