/**
 * Whatever Slurm's commands or slurmrestd answer, the readers end, and what they cannot read is
 * unknown: a node with a job never looks empty because its row was spoilt.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { isObject } from "../../cli/command/slurm-refs.ts";
import { judgeReferences } from "../../deploy/slurm/reference.ts";
import { workLeft } from "../../reconciler/core/slurm/left.ts";
import type { SlurmJob, SlurmNode } from "../../reconciler/core/slurm/object.ts";
import { readJobs, readNodes } from "../../reconciler/slurm/json.ts";
import { judge, releaseOf } from "../../reconciler/slurm/rest-answer.ts";
import { readJobText, readNodeText } from "../../reconciler/slurm/text.ts";
import { mutate, mutations, odd } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const SEEN_AT = 1_795_436_600_000;
const set = (number: number) => ({ set: true, infinite: false, number });

/** As 22.05.8 and 24.11.5 write them: a drained node with a job, and one without. */
const NODES = {
  old: ["n0", "n1"].map((name) => ({
    ...{ name, state: "idle", state_flags: ["DRAIN"], boot_time: 1_795_394_680 },
    ...{ slurmd_start_time: 1_795_436_484, address: "127.0.0.1", hostname: "vm" },
    ...{ partitions: ["compute"], gres: "gpu:h100:8", features: "h100" },
    ...{ reason: "navarch:s1 XID79 lost", reason_set_by_user: "root" },
  })),
  new: ["n0", "n1"].map((name) => ({
    ...{ name, state: ["IDLE", "DRAIN"], boot_time: set(1_795_394_680) },
    ...{ slurmd_start_time: set(1_795_436_484), address: "127.0.0.1", hostname: "vm" },
    ...{ partitions: ["compute"], gres: "gpu:h100:8", features: ["h100"] },
    ...{ reason: "navarch:s1 XID79 lost", reason_set_by_user: "root" },
  })),
};
const JOB = {
  ...{ job_id: 7, user_name: "alice", name: "wrap", partition: "compute", state_reason: "None" },
  ...{ nodes: "n[0]", tres_alloc_str: "cpu=2,node=1,gres/gpu=8", array_task_string: "" },
};
const JOBS = {
  old: [{ ...JOB, job_state: "RUNNING", array_job_id: 0, node_count: 1, start_time: 1 }],
  new: [
    {
      ...JOB,
      job_state: ["RUNNING"],
      array_job_id: set(0),
      node_count: set(1),
      start_time: set(1),
    },
  ],
};
/** Without the holes that mutations leave in lists. */
const asRead = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? "null");
const release = fc.constantFrom("old" as const, "new" as const);

function isSound(node: SlurmNode): void {
  expect(node.name).not.toBe("");
  expect(node.base).not.toBe("");
  for (const at of [node.bootTime, node.slurmdStartedAt]) {
    if (at !== null) expect(new Date(at).toISOString()).toBeString();
  }
}

function isSoundJob({ nodes, gpus, nodeCount, tasks, submittedAt, startedAt }: SlurmJob): void {
  for (const name of nodes) expect(name).toMatch(/^[\w.-]+$/);
  for (const number of [gpus, nodeCount, tasks]) expect(Number.isFinite(number)).toBeTrue();
  for (const at of [submittedAt, startedAt]) {
    if (at !== null) expect(new Date(at).toISOString()).toBeString();
  }
}

/** What would be done to n0 after these two lists. */
function leftOn(name: string, nodes: readonly SlurmNode[], jobs: readonly SlurmJob[]): string {
  const node = nodes.find((one) => one.name === name);
  const there = jobs.filter((job) => job.nodes.includes(name));
  return workLeft(node, there, SEEN_AT).kind;
}

test(
  "S31: readers of lists end with a sound list or none, whatever they are given",
  () => {
    const document = fc.oneof(
      { weight: 1, arbitrary: odd },
      { weight: 1, arbitrary: fc.array(odd).map((rows) => ({ nodes: rows, jobs: rows })) },
      {
        weight: 6,
        arbitrary: fc.tuple(release, mutations).map(([which, all]) => {
          const valid = { nodes: NODES[which], jobs: JOBS[which], errors: [], meta: {} };
          return asRead(mutate(valid, all));
        }),
      },
    );
    let read = 0;
    fc.assert(
      fc.property(document, fc.integer(), (value, status) => {
        const nodes = readNodes(value);
        const jobs = readJobs(value);
        nodes?.forEach(isSound);
        jobs?.forEach(isSoundJob);
        if (nodes !== null && jobs !== null) read += 1;
        const judged = judge({ kind: "json", status, value });
        if (judged.kind !== "ok") expect(judged.message).not.toBe("");
        releaseOf(value);
      }),
      runs(3_000),
    );
    expect(read).toBeGreaterThan(100);
  },
  PATIENCE_MS,
);

/** Texts that no release writes in these places, and values that are no text. */
const spoilt = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, 0, 7, true, {}, [], [7], [null], ["RUNNING", 7], [[]]),
  fc.dictionary(fc.string(), fc.jsonValue()),
);

test(
  "S31: a job whose state or nodes cannot be read spoils the list",
  () => {
    const key = fc.constantFrom("job_state", "nodes", "job_id");
    fc.assert(
      fc.property(release, key, spoilt, (which, name, value) => {
        const jobs = readJobs({ jobs: JOBS[which].map((job) => ({ ...job, [name]: value })) });
        const nodes = readNodes({ nodes: NODES[which] });
        expect(nodes).not.toBeNull();
        if (jobs !== null) expect(leftOn("n0", nodes ?? [], jobs)).toBe("busy");
      }),
      runs(1_000),
    );
  },
  PATIENCE_MS,
);

test(
  "S31: a node whose state cannot be read is never empty",
  () => {
    const word = fc.oneof(
      fc.constantFrom("IDLE", "DRAIN", "drained", "DOWN*", "IDLE+DRAIN", "ALLOCATED", "MIXED"),
      fc.constantFrom("COMPLETING", "FAIL", "POWERED_DOWN", "INVALID_REG", "UNKNOWN", "FUTURE"),
      fc.string(),
    );
    const value = fc.oneof(spoilt, word, fc.array(fc.oneof(word, spoilt), { maxLength: 4 }));
    const isText = (one: unknown) => typeof one === "string";
    fc.assert(
      fc.property(value, value, (state, flags) => {
        const nodes = readNodes({ nodes: [{ name: "n0", state, state_flags: flags }] });
        const parts = [state, flags].flatMap((one) => (Array.isArray(one) ? one : [one ?? ""]));
        if (!parts.every(isText)) expect(nodes).toBeNull();
        if (nodes === null) return;
        const all = parts.join("+").toUpperCase();
        const left = leftOn("n0", nodes, []);
        if (/\b(ALLOC\w*|MIXED|COMPLETING)\b/.test(all)) expect(left).not.toBe("empty");
        if (/\b(UNKNOWN|FUTURE)\b/.test(all)) expect(left).not.toBe("empty");
        if (left === "empty") expect(all).toMatch(/DRAIN|DOWN|FAIL|INVAL|ERR/);
      }),
      runs(3_000),
    );
  },
  PATIENCE_MS,
);

const NODE_TEXT = `NodeName=n0 Arch=x86_64 CoresPerSocket=1
   CPUAlloc=2 CPUTot=2 CPULoad=0.12
   AvailableFeatures=h100
   ActiveFeatures=h100
   Gres=gpu:h100:8
   NodeAddr=127.0.0.1 NodeHostName=vm Port=17001 Version=22.05.8
   OS=Linux 6.1.0 #1 SMP Debian 6.1.0-1 (2026-01-01)
   RealMemory=1000 AllocMem=0 FreeMem=20000 Sockets=2 Boards=1
   State=MIXED+DRAIN ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=compute
   BootTime=2026-11-23T00:00:00 SlurmdStartTime=2026-11-23T15:00:00
   Reason=navarch:s1 XID79 lost [root@2026-11-23T15:14:27]

`;
const JOB_TEXT = [
  "7",
  "7",
  "",
  "N/A",
  "N/A",
  "RUNNING",
  "alice",
  "compute",
  "None",
  "n0",
  "1",
  "cpu=2",
]
  .concat([
    "N/A",
    "N/A",
    "N/A",
    "1",
    "(null)",
    "",
    "2026-11-23T15:00:00",
    "2026-11-23T15:00:01",
    "\n",
  ])
  .join("\u001f");

/** Cuts, doubles, noise and lines of others in a text. */
const spoiltText = (whole: string): fc.Arbitrary<string> => {
  const piece = fc.oneof(
    fc.constantFrom("", " ", "\n", "\u001f", "NodeName=n0\n   State=IDLE+DRAIN\n", "[1-9999999]"),
    fc.constantFrom("slurm_load_node error: no\n", "\u0000", "(null)", "=".repeat(2_000), "é"),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  return fc.tuple(fc.nat(whole.length), fc.nat(whole.length), piece).map(([from, to, put]) => {
    return whole.slice(0, from) + put + whole.slice(Math.min(from + 3, to));
  });
};

test(
  "S31: what commands print is read as rows or as nothing",
  () => {
    expect(readNodeText(NODE_TEXT)).toMatchObject([
      { name: "n0", base: "MIXED", flags: ["DRAIN"] },
    ]);
    expect(readJobText(JOB_TEXT)).toMatchObject([{ id: "7", nodes: ["n0"] }]);
    fc.assert(
      fc.property(spoiltText(NODE_TEXT + NODE_TEXT), (text) => {
        readNodeText(text)?.forEach(isSound);
      }),
      runs(1_500),
    );
    fc.assert(
      fc.property(spoiltText(JOB_TEXT + JOB_TEXT), (text) => {
        readJobText(text)?.forEach(isSoundJob);
      }),
      runs(1_500),
    );
  },
  PATIENCE_MS,
);

test(
  "judgeReferences() ends for manifests with anything wrong in them",
  () => {
    const folder = `${import.meta.dir}/../../deploy/guide/slurm/k8s-manifests/hpc-slurm`;
    const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
    const objects = files
      .flatMap((name) => parseAllDocuments(readFileSync(`${folder}/${name}`, "utf8")))
      .map((one): unknown => one.toJS())
      .filter((one) => one !== null);
    let open = 0;
    fc.assert(
      fc.property(mutations, (all) => {
        const value = asRead(mutate(objects, all));
        const list = (Array.isArray(value) ? value : []).filter(isObject);
        open += judgeReferences(list, []).dangling.length;
      }),
      runs(300),
    );
    expect(open).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);
