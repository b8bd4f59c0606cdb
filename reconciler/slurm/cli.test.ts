/** What the commands of no healthy Slurm print: such an answer is none, and never an empty list. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCliClient } from "./cli.ts";
import { readReservations } from "./json.ts";
import { readJobText, readNodeText, readReservationText } from "./text.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Commands that do what the given lines of shell say; the release is told apart. */
function client(scripts: Readonly<Record<string, string>>, version = "22.05.8", timeoutMs = 5_000) {
  const bin = mkdtempSync(join(folder, "bin-"));
  const all = { scontrol: "exit 1", sinfo: "exit 1", squeue: "exit 1", ...scripts };
  for (const [name, script] of Object.entries(all)) {
    const told = `[ "$1" != --version ] || { echo "slurm-wlm ${version}"; exit 0; }`;
    writeFileSync(join(bin, name), `#!/bin/sh\n${told}\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return openCliClient({
    ...{ commandDir: bin, conf: null, env: { PATH: "/usr/bin:/bin" }, timeoutMs },
    clock: {
      after: (ms, work) => {
        const timer = setTimeout(work, ms);
        return () => clearTimeout(timer);
      },
    },
  });
}

test.each([
  ["nothing", ":"],
  ["an empty object", "echo '{}'"],
  ["half a list", `echo '{"errors":[],"nodes":[{"name":"n0","sta'`],
  ["a node without a state", `echo '{"errors":[],"nodes":[{"name":"n0"}]}'`],
  // As 22.05.8 prints it, with exit status 0.
  ["no controller", `echo '{"errors":[{"error":"Unspecified error","errno":-1}],"nodes":[]}'`],
  ["a status", `echo '{"errors":[],"nodes":[]}'; exit 3`],
  ["a signal", "kill -9 $$"],
])("S31: nodes are unknown after %s", async (_, script) => {
  expect((await client({ sinfo: script }).nodes()).kind).toBe("failed");
  const newer = client({ scontrol: script }, "24.11.5");
  expect((await newer.nodes()).kind).toBe("failed");
});

test.each([
  ["a text", "echo slurm_load_jobs error"],
  ["a row with too few columns", "printf '1\\037PENDING\\037\\n'"],
  ["a status", "exit 1"],
])("S31: jobs are unknown after %s", async (_, script) => {
  expect((await client({ squeue: script }).jobs()).kind).toBe("failed");
});

test("S32: a command that hangs ends with all that it started", async () => {
  const slow = client({ squeue: "sleep 60 & sleep 60" }, "22.05.8", 200);
  const startedMs = performance.now();
  expect(await slow.jobs()).toEqual({ kind: "failed", message: "squeue: no answer within 0.2 s" });
  expect(performance.now() - startedMs).toBeLessThan(4_000);
});

test("commands that are not there: nothing was written, and nothing is known", async () => {
  const absent = openCliClient({
    ...{ commandDir: join(folder, "none"), conf: null, env: {}, timeoutMs: 1_000 },
    clock: { after: () => () => undefined },
  });
  expect((await absent.nodes()).kind).toBe("failed");
  expect((await absent.jobs()).kind).toBe("failed");
  expect((await absent.update(["n0"], { state: "undrain" })).kind).toBe("refused");
});

test("S37: a build without JSON is read as text", async () => {
  const text = "cat <<'E'\nNodeName=n0 Arch=x\n   State=IDLE+DRAIN Weight=1\n   Reason=a b\nE";
  const lacks = `case "$*" in *--json*) echo 'unrecognized option' >&2; exit 1;; esac\n${text}`;
  for (const version of ["20.11.9", "22.05.8", "24.11.5"]) {
    const answer = await client({ sinfo: lacks, scontrol: lacks }, version).nodes();
    expect(answer).toMatchObject({
      kind: "ok",
      value: [{ name: "n0", base: "IDLE", flags: ["DRAIN"], reason: "a b" }],
    });
  }
});

test("S28: named nodes are read in one call, without those that Slurm does not know", async () => {
  const block = (name: string) => `NodeName=${name} Arch=x\n   State=IDLE Weight=1\n\n`;
  const read = (text: string, status = 0) => {
    const script = `cat <<'E'\n${text}E\nexit ${status}`;
    return client({ scontrol: script }).nodes(["n2", "n0", "n1", "-a"]);
  };
  const names = ["n0", "n1", "n2"];
  const all = await read(names.map(block).join(""));
  expect(all.kind === "ok" ? all.value.map(({ name }) => name) : all).toEqual(names);
  const some = await read(`${block("n0")}Node n1 not found\n${block("n2")}${block("n9")}`, 1);
  expect(some.kind === "ok" ? some.value.map(({ name }) => name) : some).toEqual(["n0", "n2"]);
  expect(await read("Node n0 not found\nNode n1 not found\nNode n2 not found\n", 1)).toEqual({
    kind: "ok",
    value: [],
  });
  const cut = { kind: "failed" as const, message: "scontrol: n2 is missing in its output" };
  expect(await read(`${block("n0")}${block("n1")}`)).toEqual(cut);
  expect(await read(`${block("n0")}Node n1 not found\n`, 1)).toEqual(cut);
  // A status without a reason spoils what was printed before it.
  expect((await read(names.map(block).join(""), 1)).kind).toBe("failed");
  expect((await read("slurm_load_node error: Unable to contact it\n", 1)).kind).toBe("failed");
  expect(await client({ scontrol: "exit 9" }).nodes([])).toEqual({ kind: "ok", value: [] });
});

test("a write whose answer is not a judgement leaves open what was done", async () => {
  const says = (text: string) => client({ scontrol: `echo '${text}' >&2; exit 1` });
  const update = (text: string) => says(text).update(["n0"], { state: "undrain" });
  expect((await update("slurm_update error: Invalid node name specified")).kind).toBe("refused");
  expect((await update("slurm_update error: Socket timed out on send/recv")).kind).toBe("failed");
  expect((await update("slurm_update error: Zero Bytes were transmitted")).kind).toBe("failed");
});

test("what a row or a block cannot mean spoils the list", () => {
  expect(readJobText("")).toEqual([]);
  expect(readNodeText("No nodes in the system\n")).toBeNull();
  expect(readNodeText("NodeName=n0 Arch=x\n   Weight=1\n")).toBeNull();
});

test("S14: what cannot be a NodeName is not there to be removed, and no command is run", async () => {
  expect(await client({}).remove(["n 0;rm"])).toEqual({ kind: "ok", value: null });
});

test("S14: a dynamic node is deleted by name, one of slurm.conf is not", async () => {
  const told = join(folder, "deleted");
  const removing = (flags: string) => {
    const block = `NodeName=d0 Arch=x\\n   State=IDLE${flags} Weight=1\\n`;
    const script = `case "$*" in *delete*) echo "$*" >> ${told};; *) printf '${block}';; esac`;
    return client({ scontrol: script }).remove(["d0"]);
  };
  const message = "d0 is no dynamic node of Slurm";
  expect(await removing("")).toEqual({ kind: "refused", message });
  expect(await removing("+DYNAMIC_NORM")).toEqual({ kind: "ok", value: null });
  expect(readFileSync(told, "utf8")).toBe("delete nodename=d0\n");
});

test("readNodeText() and readJobText() read what scontrol and squeue print, by its name", () => {
  const block =
    "NodeName=n0 Arch=x86_64 CoresPerSocket=1\n" +
    "   AvailableFeatures=h100\n   Gres=gpu:h100:8\n" +
    "   NodeAddr=10.0.0.7 NodeHostName=gpu-7 Version=22.05.8\n" +
    "   State=IDLE+DRAIN ThreadsPerCore=1\n   Partitions=train,debug\n" +
    "   BootTime=2026-11-23T10:00:00 SlurmdStartTime=2026-11-23T10:00:05\n" +
    "   Reason=maint of rack 3 [alice@2026-11-23T11:00:00]\n";
  expect(readNodeText(block)).toEqual([
    {
      ...{ name: "n0", base: "IDLE", flags: ["DRAIN"], reason: "maint of rack 3" },
      ...{ reasonBy: "alice", bootTime: Date.parse("2026-11-23T10:00:00Z") },
      ...{ slurmdStartedAt: Date.parse("2026-11-23T10:00:05Z"), address: "10.0.0.7" },
      ...{ hostname: "gpu-7", partitions: ["train", "debug"], gres: "gpu:h100:8" },
      ...{ features: ["h100"], reservation: null },
    },
  ]);
  const job = (id: string, array: string, task: string, het = ["N/A", "N/A"]): string => {
    const rest = ["N/A", "N/A", "N/A", "N/A", "1", "(null)", "", "N/A", "N/A"];
    const state = [...het, "PENDING", "bob", "train", "Priority", "", "1", ...rest];
    const values = [id, array, task, ...state];
    return `${values.join("\u001f")}\u001f\n`;
  };
  const rows = [job("7", "7", "N/A"), job("9", "8", "3"), job("8", "8", "4-9")];
  rows.push(job("11", "11", "N/A", ["10", "1"]), job("10", "10", "N/A", ["10", "0"]));
  const jobs = readJobText(rows.join(""));
  expect(jobs?.map(({ id }) => id)).toEqual(["7", "8_3", "8", "10+1", "10+0"]);
});

test("S28: reservations read the same from scontrol and from slurmrestd", () => {
  const line =
    "ReservationName=pm_nov StartTime=2026-11-23T10:00:00 EndTime=2026-11-24T10:00:00 " +
    "Duration=1-00:00:00 Nodes=n[0-1] NodeCnt=2 CoreCnt=8 Features=(null) PartitionName=(null) " +
    "Flags=MAINT,IGNORE_JOBS,SPEC_NODES TRES=cpu=8 Users=root State=ACTIVE \n";
  const read = {
    ...{ name: "pm_nov", isMaint: true, nodes: ["n0", "n1"] },
    startsAt: Date.parse("2026-11-23T10:00:00Z"),
  };
  expect(readReservationText(line)).toEqual([read]);
  expect(readReservationText("No reservations in the system\n")).toEqual([]);
  expect(readReservationText("slurm_load_reservations error\n")).toBeNull();
  const flags = ["MAINT", "SPEC_NODES"];
  const row = { name: "pm_nov", flags, node_list: "n[0-1]" };
  const start = (startsAt: unknown) => [{ ...row, start_time: startsAt }];
  const seconds = read.startsAt / 1_000;
  const set = { set: true, infinite: false, number: seconds };
  expect(readReservations({ reservations: start(seconds) })).toEqual([read]);
  expect(readReservations({ reservations: start(set) })).toEqual([read]);
  expect(readReservations({ reservations: [{ ...row, node_list: "n[1-" }] })).toBeNull();
});
