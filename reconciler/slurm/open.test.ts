/** Which of the two ways to Slurm the configuration chooses. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openSlurmClient, type SlurmPlace } from "./open.ts";

const PLACE: SlurmPlace = {
  ...{ transport: "auto", rest: null, tokenFile: null, user: null },
  ...{ commandDir: "/opt/slurm/bin", conf: null, timeoutMs: 1_000 },
};
const open = (more: Partial<SlurmPlace>) =>
  openSlurmClient({ ...PLACE, ...more }, { clock: new VirtualClock(), env: {} });
const rest = "http://127.0.0.1:6820";

test("openSlurmClient() uses slurmrestd if it has an address, and the commands if told so", () => {
  const byCommands = open({}).describe();
  expect(open({ transport: "cli", rest }).describe()).toBe(byCommands);
  for (const transport of ["auto", "rest"] as const)
    expect(open({ transport, rest }).describe()).not.toBe(byCommands);
});

test("openSlurmClient() without the address that it is told to use refuses each call", async () => {
  const client = open({ transport: "rest" });
  const message = "slurm.transport is `rest`, and slurm.rest has no address";
  expect(client.describe()).toBe(message);
  expect(await client.nodes()).toEqual({ kind: "refused", message });
  expect(await client.signal(["1"], "TERM")).toEqual({ kind: "refused", message });
});
