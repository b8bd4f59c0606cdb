/**
 * Dynamic nodes on a real Slurm: what the template `slurm-node` makes of its values starts slurmd,
 * a port is refused before anything is changed, and the node is gone after its removal.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SLURM_NODE_COMMANDS } from "../../../bootstrap/builtin/slurm-node.ts";
import { parseTemplate } from "../../../bootstrap/template/parse.ts";
import { formatTemplate, type TemplateValues } from "../../../bootstrap/template/print.ts";
import { until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";
import { clientOf } from "./sink-bed.ts";

setDefaultTimeout(240_000);
const SOON_MS = 60_000;

/** The start of the template's last command, up to its first change of the machine. */
async function options(values: TemplateValues) {
  const parsed = parseTemplate(SLURM_NODE_COMMANDS[2] ?? "");
  if (!parsed.ok) throw new Error(parsed.message);
  const [start = "", rest] = formatTemplate(parsed.template, values).split("\netc=");
  if (rest === undefined) throw new Error("the command has no line etc=");
  const child = Bun.spawn(["sh", "-c", `${start}\nprintf '%s' "$options"`], {
    env: {},
    stdio: ["ignore", "pipe", "pipe"],
  });
  const read = [child.stdout.text(), child.stderr.text()] as const;
  const [out, err, code] = await Promise.all([...read, child.exited]);
  return { code, out, err: err.trim() };
}

test("S42: a port is refused by name, and nothing else is", async () => {
  const refusal = "SlurmNodeConf has Port=, which slurmd of 22.05 refuses in --conf: remove it";
  for (const port of ["Port=7000", "port=7000", "CPUs=8 Port=7000"]) {
    const said = await options({ SlurmNodeName: "d0", SlurmNodeConf: port });
    expect(said).toEqual({ code: 1, out: "", err: refusal });
  }
  const conf = "CPUs=8 Feature=Port=1";
  const kept = await options({ SlurmNodeName: "d0", SlurmNodeConf: conf, Pool: "training" });
  expect(kept).toEqual({ code: 0, out: `-Z -N d0 --conf '${conf}'`, err: "" });
  const odd = await options({ SlurmNodeName: "d0", SlurmNodeConf: "CPUs=8; reboot" });
  expect([odd.code, odd.err]).toEqual([
    1,
    "slurmd cannot be given CPUs=8; reboot: it has a character that its unit would change",
  ]);
});

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`dynamic nodes of ${version}`, version);
  describe.skipIf(isMissing)(`a dynamic node of ${version}`, () => {
    let slurm: SlurmCluster;
    beforeAll(async () => {
      slurm = await openSlurm({ version, nodes: 1, conf: ["MaxNodeCount=16"] });
    });
    afterAll(() => slurm?.close());

    test("S42: joins with what the template writes, and runs a job", async () => {
      const values = { SlurmNodeName: "d0", Pool: "training" };
      const { out } = await options({ ...values, SlurmNodeConf: "CPUs=8 Gres=gpu:h100:8" });
      expect(out).toBe("-Z -N d0 --conf 'CPUs=8 Gres=gpu:h100:8 Feature=training'");
      const [, conf = ""] = /--conf '(.*)'/.exec(out) ?? [];
      slurm.startNode("d0", { more: ["-Z", "--conf", conf] });
      await slurm.waitState("d0", "idle");
      const job = await slurm.sbatch(["-C", "training", "--gres=gpu:h100:8"], "true");
      await slurm.waitJob(job, "COMPLETED");
    });

    test("S36, S42: is gone after its removal, and stays gone", async () => {
      const client = clientOf(slurm, "cli");
      await slurm.stopNode("d0");
      const down = await client.update(["d0"], { state: "down", reason: "navarch:s-1 GONE x" });
      expect(down.kind).toBe("ok");
      await until("it is removed", SOON_MS, async () =>
        (await client.remove(["d0"])).kind === "ok" ? true : null,
      );
      expect(await slurm.node("d0")).toBeNull();
      await slurm.stopController();
      await slurm.startController();
      expect(await slurm.node("d0")).toBeNull();
      await slurm.waitState("n0", "idle");
    });

    // A later release takes it.
    test.skipIf(version !== "22.05")("S42: slurmd of 22.05 refuses a port itself", async () => {
      slurm.startNode("d1", { more: ["-Z", "--conf", "CPUs=8 Port=7000"] });
      await until("it says why", 10_000, () => {
        if (slurm.log("d1").includes("'Port=' not allowed in --conf")) return true;
        throw new Error(slurm.log("d1"));
      });
      expect(await slurm.node("d1")).toBeNull();
    });
  });
}
