/**
 * The client that runs Slurm's commands, on a real controller of each release: what it reads, what
 * its verbs do, and that an answer which is none is never taken for an empty queue.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { askRights } from "../../../reconciler/slurm/rights.ts";
import { openCliClient, type CliOptions } from "../../../reconciler/slurm/cli.ts";
import type { SlurmNode } from "../../../reconciler/core/slurm/object.ts";
import type { SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import { readJobs } from "../../../reconciler/slurm/json.ts";
import { readNodeText } from "../../../reconciler/slurm/text.ts";
import { HOST_ENV } from "../../fixture/machine/command.ts";
import { until } from "../../fixture/plane/plane.ts";
import { proveVerbs } from "../../world/slurm/verb.contract.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";

const LIMIT_MS = 120_000;

const clientOf = (slurm: SlurmCluster, more: Partial<CliOptions> = {}): SlurmClient =>
  openCliClient({
    commandDir: slurm.commandDir,
    conf: slurm.conf,
    env: HOST_ENV,
    timeoutMs: 10_000,
    clock: {
      after: (ms, work) => {
        const timer = setTimeout(work, ms);
        return () => clearTimeout(timer);
      },
    },
    ...more,
  });

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`commands of Slurm ${version}`, version);
  describe.skipIf(isMissing)(`Slurm ${version}`, () => {
    let opened: SlurmCluster | null = null;
    const cluster = (): SlurmCluster => {
      if (opened === null) throw new Error("no cluster");
      return opened;
    };
    beforeAll(async () => {
      opened = await openSlurm({ version, nodes: 2, cloud: 1, conf: ["MaxNodeCount=16"] });
    }, LIMIT_MS);
    afterAll(() => opened?.close(), LIMIT_MS);

    proveVerbs(`commands of Slurm ${version}`, () => ({
      client: clientOf(cluster()),
      submit: (node, seconds) => cluster().sbatch(["--exclusive", "-w", node], `sleep ${seconds}`),
      cancel: async (id) => void (await cluster().must("scancel", id)),
      cut: (node) => cluster().stopNode(node),
      boot: async (node, isNew) => cluster().startNode(node, { isBoot: isNew }),
      until: async (holds) => {
        const end = performance.now() + 40_000;
        while (performance.now() < end) {
          if (await holds()) return true;
          await Bun.sleep(200);
        }
        return false;
      },
    }));

    test(
      "rights are told by the answer to a change of no node, and nothing is changed",
      async () => {
        const slurm = cluster();
        expect(await askRights(clientOf(slurm))).toEqual({ allowed: true, message: null });
        const change = ["scontrol", "update", "nodename=navarch-no-such-node", "reason=x"];
        const nobody = await slurm.run(["runuser", "-u", "nobody", "--", ...change]);
        const message = `${nobody.stderr}${nobody.stdout}`;
        const refused = async () => ({ kind: "refused", message }) as const;
        expect((await askRights({ update: refused })).allowed).toBe(false);
      },
      LIMIT_MS,
    );

    test(
      "S37: nodes read the same from JSON and from text",
      async () => {
        const slurm = cluster();
        const client = clientOf(slurm);
        await slurm.scontrol("update", "nodename=n1", "state=drain", "reason=maint = by alice");
        const answer = await client.nodes();
        const single = await client.nodes(["n1", "c0", "n99"]);
        const text = readNodeText(await slurm.must("env", "TZ=UTC", "scontrol", "show", "node"));
        if (answer.kind !== "ok" || text === null) throw new Error(JSON.stringify(answer));
        const sorted = (list: readonly SlurmNode[]) =>
          list
            .map((node) => ({ ...node, flags: node.flags.toSorted() }))
            .sort((a, b) => (a.name < b.name ? -1 : 1));
        expect(sorted(text)).toEqual(sorted(answer.value));
        if (single.kind !== "ok") throw new Error(single.message);
        const some = text.filter(({ name }) => name === "n1" || name === "c0");
        expect(sorted(single.value)).toEqual(sorted(some));
        expect(answer.value.find(({ name }) => name === "n1")).toMatchObject({
          ...{ base: "IDLE", flags: ["DRAIN"], reason: "maint = by alice", reasonBy: "root" },
          ...{ gres: "gpu:h100:8", partitions: ["compute"], address: "127.0.0.1" },
        });
        expect(answer.value.find(({ name }) => name === "c0")).toMatchObject({
          ...{ base: "IDLE", bootTime: null, features: ["cloud"], reason: null },
        });
        expect(client.describe()).toStartWith(`scontrol, Slurm ${version}.`);
        await slurm.scontrol("update", "nodename=n1", "state=undrain");
      },
      LIMIT_MS,
    );

    test(
      "a reason comes back as it was written, in one line",
      async () => {
        const client = clientOf(cluster());
        for (const reason of [
          'navarch:s1 XID79 it says "lost" = [x] ',
          '"quoted"',
          "über '$(id)' `id` ; nodename=ALL",
          "x".repeat(2_000),
          "two\nlines\u0000",
        ]) {
          const answer = await client.update(["n0"], { state: "drain", reason });
          expect(answer).toEqual({ kind: "ok", value: null });
          const read = await client.nodes(["n0", "n99"]);
          if (read.kind !== "ok") throw new Error(read.message);
          expect(read.value.map(({ name }) => name)).toEqual(["n0"]);
          expect(read.value[0]?.reason).toBe(reason.replace(/[\n\0]/g, " ").trim());
        }
        expect((await client.update(["n0"], { state: "undrain" })).kind).toBe("ok");
      },
      LIMIT_MS,
    );

    test(
      "names that mean other nodes are refused, and a list with a bad one is in doubt",
      async () => {
        const client = clientOf(cluster());
        const change = { state: "drain", reason: "x" } as const;
        for (const name of ["ALL", "all", "n[0-1]", "n0,n1", "-a", "", "n0 n1"]) {
          expect(await client.update([name], change)).toMatchObject({ kind: "refused" });
        }
        expect(await client.update(["n0", "n99"], change)).toMatchObject({ kind: "failed" });
        expect(await client.requeue("1;id", true)).toMatchObject({ kind: "refused" });
        expect(await client.requeue("4711", true)).toMatchObject({ kind: "refused" });
        expect(await cluster().state("n0")).toContain("drained");
        await client.update(["n0"], { state: "undrain" });
        expect(await cluster().state("n1")).not.toContain("drain");
      },
      LIMIT_MS,
    );

    test(
      "S37: jobs have their GPUs, tasks and nodes, and no user forges another's row",
      async () => {
        const slurm = cluster();
        const client = clientOf(slurm);
        // Slurm 22.05 may set a node down that was released within a second of its boot.
        await until("n0 is idle", LIMIT_MS, async () => {
          const state = await slurm.state("n0");
          if (state === "down") await slurm.scontrol("update", "nodename=n0", "state=resume");
          return state === "idle" || null;
        });
        const forged = ["x\n99", "99", "N/A", "RUNNING", "root", "compute", "None", "n1"];
        const name = `--job-name=${forged.join("\u001f")}`;
        const wide = await slurm.sbatch(["-w", "n0", "--gres=gpu:8", name], "sleep 60");
        const array = await slurm.sbatch(["-w", "n0", "--gpus=2", "--array=1-90:3"], "sleep 60");
        const held = await slurm.sbatch(["--hold", "-n3", "--gpus-per-task=2"], "sleep 60");
        await slurm.waitJob(wide, "RUNNING");
        const answer = await client.jobs();
        if (answer.kind !== "ok") throw new Error(answer.message);
        const find = (id: string) => answer.value.find((job) => job.id === id);
        expect(answer.value.map(({ id }) => id).sort()).toEqual([wide, array, held].sort());
        expect(find(wide)).toMatchObject({
          ...{ state: "RUNNING", nodes: ["n0"], gpus: 8, nodeCount: 1, user: "root", tasks: 1 },
          ...{ name: null, partition: "compute", reason: null },
        });
        expect(find(array)).toMatchObject({ state: "PENDING", tasks: 30, gpus: 2, nodes: [] });
        expect(find(held)).toMatchObject({ reason: "JobHeldUser", gpus: 6 });
        const known = ["PENDING", "RUNNING"];
        const byId = (a: { id: string }, b: { id: string }) => Number(a.id) - Number(b.id);
        // The scheduler may give another reason between the two readings.
        await until("both readings are the same", LIMIT_MS, async () => {
          const json: unknown = JSON.parse(await slurm.must("squeue", "--json"));
          const text = await client.jobs();
          const same = readJobs(json)?.filter(({ state }) => known.includes(state));
          const plain = same?.map((job) => ({ ...job, name: null })).sort(byId) ?? [];
          const shown = text.kind === "ok" ? [...text.value].sort(byId) : [];
          expect(shown).toEqual(plain);
          return true;
        });
        expect(await client.requeue(wide, true)).toEqual({ kind: "ok", value: null });
        await until("the job is held", LIMIT_MS, async () => {
          const now = await client.jobs();
          const job = now.kind === "ok" ? now.value.find(({ id }) => id === wide) : undefined;
          return job?.state === "PENDING" ? true : null;
        });
        await slurm.must("scancel", wide, array, held);
      },
      LIMIT_MS,
    );

    test(
      "S36: a dynamic node goes once it is down and free, and a configured one never",
      async () => {
        const slurm = cluster();
        const client = clientOf(slurm);
        slurm.startNode("d0", { more: ["-Z", "--conf", "CPUs=8 Gres=gpu:h100:8 Feature=dyn"] });
        await slurm.waitState("d0", "idle");
        const job = await slurm.sbatch(["-w", "d0", "--gres=gpu:1", "--no-requeue"], "sleep 300");
        await slurm.waitJob(job, "RUNNING");
        const processes = () => slurm.room.withEnv("SLURMD_NODENAME=d0").length;
        await until("the job's processes", LIMIT_MS, () => processes() > 0 || null);
        const busy = await client.remove(["d0"]);
        expect(busy).toMatchObject({ kind: "refused" });
        expect("message" in busy ? busy.message : "").toContain("nodes are busy");
        expect(await client.remove(["n0", "d0"])).toEqual({
          kind: "refused",
          message: "n0 is no dynamic node of Slurm",
        });
        await slurm.must("scancel", job);
        // Asked often within one second, the list of all keeps MIXED; a read of one node does not.
        await until("d0 is free", LIMIT_MS, async () => {
          const read = await client.nodes(["d0"]);
          return read.kind === "ok" && read.value[0]?.base === "IDLE" ? true : null;
        });
        await slurm.stopNode("d0");
        expect((await client.update(["d0"], { state: "down", reason: "x" })).kind).toBe("ok");
        await until("d0 is gone", LIMIT_MS, async () =>
          (await client.remove(["d0"])).kind === "ok" ? true : null,
        );
        const left = await client.nodes(["d0", "n0"]);
        expect(left.kind === "ok" ? left.value.map(({ name }) => name) : left).toEqual(["n0"]);
        expect(await client.remove(["d0"])).toEqual({ kind: "ok", value: null });
      },
      LIMIT_MS,
    );

    test(
      "S31, S32: a controller that hangs or is away gives no answer, within the limit",
      async () => {
        const slurm = cluster();
        const client = clientOf(slurm, { timeoutMs: 2_000 });
        const all = (): Promise<{ kind: string }>[] => [
          client.nodes(),
          client.jobs(),
          client.update(["n0"], { state: "drain", reason: "navarch:s1 XID79 x" }),
          client.remove(["n0"]),
          client.requeue("1", false),
        ];
        expect((await client.nodes()).kind).toBe("ok");
        slurm.room.signal("slurmctld", "SIGSTOP");
        try {
          const startedMs = performance.now();
          for (const answer of await Promise.all(all())) expect(answer.kind).toBe("failed");
          expect(performance.now() - startedMs).toBeLessThan(6_000);
        } finally {
          slurm.room.signal("slurmctld", "SIGCONT");
        }
        await slurm.stopController("SIGKILL");
        const away = clientOf(slurm);
        for (const ask of [() => away.nodes(), () => away.jobs()]) {
          const answer = await ask();
          expect(answer.kind).toBe("failed");
          expect("message" in answer ? answer.message : "").not.toBe("");
        }
        expect(await away.update(["n0"], { state: "undrain" })).toMatchObject({ kind: "failed" });
        await slurm.startController();
        await until("it answers again", LIMIT_MS, async () =>
          (await away.nodes()).kind === "ok" ? true : null,
        );
        await slurm.run(["scontrol", "update", "nodename=n0", "state=undrain"]);
      },
      LIMIT_MS,
    );

    test("what people set for their own commands changes nothing", async () => {
      const slurm = cluster();
      const job = await slurm.sbatch(["--hold"], "sleep 60");
      const env = { SQUEUE_STATES: "RUNNING", SQUEUE_USERS: "nobody", SLURM_CLUSTERS: "other" };
      const client = clientOf(slurm, { env: { ...HOST_ENV, ...env, SINFO_FORMAT: "%n" } });
      const jobs = await client.jobs();
      expect(jobs.kind === "ok" ? jobs.value.map(({ id }) => id) : jobs).toContain(job);
      expect((await client.nodes()).kind).toBe("ok");
      await slurm.must("scancel", job);
    });
  });
}
