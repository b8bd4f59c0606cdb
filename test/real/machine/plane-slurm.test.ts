/**
 * The template `slurm-node` on real machines and with a real Slurm: a machine that is bought joins
 * the controller by itself, with its GPUs, and runs a job. The controller is a machine of the same
 * bed that nobody's fleet owns.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SLURM_NODE_COMMANDS } from "../../../bootstrap/builtin/slurm-node.ts";
import { parseTemplate } from "../../../bootstrap/template/parse.ts";
import { formatTemplate, type TemplateValues } from "../../../bootstrap/template/print.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import type { Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import type { Machine } from "./machine.ts";
import { BedPlane, POOL } from "./plane.ts";
import { PACKAGES, startController } from "./slurm-controller.ts";

const isMissing = await missesBed("a machine that joins Slurm");

const LIMIT_MS = 180_000;
const prepare = (ctl: string): string => `cat >/etc/default/navarch-slurm <<'EOF'
SLURM_CONF_SERVER=${ctl}:6817
SLURM_NODE_CONF="CPUs=8 Gres=gpu:h100:8"
EOF`;

function formatCommand(text: string, values: TemplateValues): string {
  const answer = parseTemplate(text);
  if (!answer.ok) throw new Error(answer.message);
  return formatTemplate(answer.template, values);
}

const keyOf = ({ stateDir }: Pick<Bed, "stateDir">): string => join(stateDir, "munge.key");

let on: BedPlane | null = null;
let ctl: Machine;

describe.skipIf(isMissing)("a machine that joins Slurm", () => {
  beforeAll(async () => {
    await buildStale();
    on = await BedPlane.open({
      packages: PACKAGES,
      before: async (bed) => {
        ctl = await bed.boot({ nodeId: "ctl" });
        await startController(ctl);
        // No image has this key: the control plane sends it.
        const renew = "head -c 1024 /dev/urandom >/etc/munge/munge.key";
        await ctl.must(`${renew} && systemctl restart munge slurmctld`);
        const key = await ctl.must("base64 -w 0 /etc/munge/munge.key");
        writeFileSync(keyOf(bed), Buffer.from(key, "base64"), { mode: 0o400 });
      },
      over: ({ bed }) => JSON.stringify({ slurm: { munge_key_file: keyOf(bed) } }),
      pool: () => ({
        setup_templates: ["agent"],
        setup_commands: [prepare(ctl.address), { template: "slurm-node" }],
      }),
    });
  }, 600_000);
  afterAll(async () => {
    expect((await on?.close()) ?? []).toEqual([]);
  }, 60_000);

  test(
    "is idle there under its own id, with its GPUs, and runs a job",
    async () => {
      const [node] = (await on?.waitServing(1, 120_000)) ?? [];
      const id = node?.node_id ?? "";
      const state = await until("Slurm shows it idle", 30_000, async () => {
        const seen = await ctl.must("sinfo -h -N -o '%N %T %f %G'");
        return seen.includes("idle") ? seen : null;
      });
      expect(state.replace(/\s+/g, " ")).toBe(`${id} idle ${POOL} gpu:h100:8`);
      const job = "srun --gres=gpu:h100:2 sh -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'";
      expect(await ctl.must(`timeout 60 ${job}`)).toBe(`${id} 0,1`);
    },
    LIMIT_MS,
  );

  test(
    "set up once more, goes on as it is, and with another controller does not say that it runs",
    async () => {
      const [node] = (await on?.plane.serving()) ?? [];
      const machine = await on?.bed.machine(node?.instance_id ?? "");
      if (node === undefined || machine === undefined) throw new Error("there is no machine");
      const values = { NodeID: node.node_id, Pool: POOL };
      const since = await machine.must("systemctl show -p ActiveEnterTimestamp slurmd");
      const said = [];
      for (const command of SLURM_NODE_COMMANDS)
        said.push(await machine.must(formatCommand(command, values)));
      expect(said).toEqual(["", "munge works", `slurmd runs already as ${node.node_id}`]);
      expect(await machine.must("systemctl show -p ActiveEnterTimestamp slurmd")).toBe(since);
      // Nobody listens there: its unit starts, and slurmd goes on asking.
      await machine.must("sed -i 's/:6817/:6999/' /etc/default/navarch-slurm");
      const join = formatCommand(SLURM_NODE_COMMANDS[2] ?? "", values).replace("left=20", "left=1");
      // The next attempt finds a slurmd that is active, and is not taken in by it.
      for (const attempt of [1, 2]) {
        const ran = await machine.run(join, { limitMs: 60_000 });
        expect([attempt, ran.code, ran.stdout]).toEqual([attempt, 1, ""]);
        expect(ran.stderr).not.toBe("");
      }
    },
    LIMIT_MS,
  );
});
