/**
 * What each verb does to a node, on the virtual controller and on real ones: the facts of
 * docs/reference/slurm.md on which ownership and release rest.
 */
import { describe, expect, test } from "bun:test";
import type { SlurmClient, SlurmNodeChange } from "../../../reconciler/core/slurm/client.ts";
import type { SlurmNode } from "../../../reconciler/core/slurm/object.ts";

/** Two free nodes, `n0` and `n1`. */
export type VerbBed = {
  client: SlurmClient;
  /** A job on the whole node that runs for some seconds; its id. */
  submit(node: string, seconds: number): Promise<string>;
  cancel(id: string): Promise<void>;
  /** slurmd ends, and comes back; `isNew`: as after a reboot. */
  cut(node: string): Promise<void>;
  boot(node: string, isNew: boolean): Promise<void>;
  /** Looks until the predicate holds, for half a minute at most. */
  until(holds: () => Promise<boolean>): Promise<boolean>;
};

export function proveVerbs(name: string, bed: () => VerbBed): void {
  const node = async (of = "n0"): Promise<SlurmNode> => {
    const answer = await bed().client.nodes([of]);
    const found = answer.kind === "ok" ? answer.value.find((one) => one.name === of) : undefined;
    if (found === undefined) throw new Error(`no node ${of}: ${JSON.stringify(answer)}`);
    return found;
  };
  const update = async (change: SlurmNodeChange, of = "n0"): Promise<string> =>
    (await bed().client.update([of], change)).kind;
  const shown = async (): Promise<string> => {
    const { base, flags } = await node();
    return [base, ...flags.filter((flag) => flag === "DRAIN")].join("+");
  };
  const until = async (want: string): Promise<void> => {
    await bed().until(async () => (await shown()) === want);
    expect(await shown()).toBe(want);
  };

  describe(name, () => {
    test("a drain needs a reason, also on a node that is drained already", async () => {
      expect(await update({ state: "drain" })).toBe("refused");
      expect(await update({ state: "drain", reason: "navarch:s1 XID79 lost" })).toBe("ok");
      expect(await update({ state: "drain" })).toBe("refused");
      expect(await shown()).toBe("IDLE+DRAIN");
      expect((await node()).reason).toStartWith("navarch:s1 XID79 lost");
    });

    test("another drain silently takes the reason over", async () => {
      expect(await update({ state: "drain", reason: "maint by alice" })).toBe("ok");
      expect((await node()).reason).toStartWith("maint by alice");
    });

    test("undrain clears the flag of a node that is up; 24.11 keeps the text", async () => {
      expect(await update({ state: "undrain" })).toBe("ok");
      expect(await shown()).toBe("IDLE");
      expect(["", "maint by alice"]).toContain((await node()).reason ?? "");
      expect(await update({ state: "undrain" })).toBe("ok");
    });

    test("undrain of a node that is down leaves it down, with its reason", async () => {
      await update({ state: "drain", reason: "navarch:s2 XID48 broken" });
      await update({ state: "down", reason: "navarch:s2 XID48 broken" });
      expect(await shown()).toBe("DOWN+DRAIN");
      expect(await update({ state: "undrain" })).toBe("ok");
      expect(await shown()).toBe("DOWN");
      expect((await node()).reason).toStartWith("navarch:s2");
    });

    test("resume lifts DOWN as well", async () => {
      expect(await update({ state: "resume" })).toBe("ok");
      await until("IDLE");
    });

    test("a busy node that drains ends its job, takes no other, and is drained then", async () => {
      const job = await bed().submit("n0", 4);
      await until("ALLOCATED");
      await update({ state: "drain", reason: "navarch:s3 XID79 lost" });
      expect(await shown()).toBe("ALLOCATED+DRAIN");
      const jobs = await bed().client.jobs();
      const ours = jobs.kind === "ok" ? jobs.value.find(({ id }) => id === job) : undefined;
      expect(ours).toMatchObject({ state: "RUNNING", nodes: ["n0"] });
      await until("IDLE+DRAIN");
      await update({ state: "undrain" });
    });

    test("a drain outlives the end of slurmd, and a new boot shows as a new BootTime", async () => {
      await update({ state: "drain", reason: "navarch:s4 XID79 lost" });
      const before = (await node()).bootTime;
      await bed().cut("n0");
      await bed().boot("n0", true);
      await bed().until(async () => (await node()).bootTime !== before);
      const { bootTime, reason } = await node();
      expect(bootTime ?? 0).toBeGreaterThan(before ?? 0);
      expect(reason).toStartWith("navarch:s4");
      // Releases differ: a boot that Slurm did not ask for leaves the node DOWN on 22.05.
      const state = await shown();
      expect(["IDLE+DRAIN", "DOWN+DRAIN"]).toContain(state);
      await update({ state: state === "DOWN+DRAIN" ? "resume" : "undrain" });
      await until("IDLE");
    });

    test("a node that nobody configured is refused", async () => {
      expect(await update({ state: "drain", reason: "x" }, "n99")).toBe("refused");
    });
  });
}
