/**
 * `navarch slurm verify` by the guide's script: pods and Services on a real API server, Slurm's
 * commands against a real controller.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import type { Ran } from "../../fixture/machine/command.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { openCluster, type Cluster } from "../kubernetes/cluster.ts";
import { CONTROLLERS } from "../kubernetes/server.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { Guide, MANIFESTS } from "./guide.ts";
import { missesSlurm } from "./package.ts";

const noCluster = await whyNoCluster();
if (noCluster !== null) console.error(`SKIPPED: Slurm verified on a real API server: ${noCluster}`);
const isMissing = (await missesSlurm("navarch slurm verify")) || noCluster !== null;

test("a Kubernetes API server is here to verify Slurm on", () => {
  if (process.env["CI"] === "true") expect(noCluster).toBeNull();
});

const PVS = `${import.meta.dir}/pvs.yaml`;

type Section = { id: number; name: string; status: string; lines: string[] };
type Report = { passed: boolean; sections: Section[] };

describe.skipIf(isMissing)("navarch slurm verify", () => {
  let cluster: Cluster;
  let slurm: SlurmCluster;
  let guide: Guide;
  beforeAll(async () => {
    await buildStale();
    const controllers = [
      `--controllers=${[...CONTROLLERS, "persistentvolume-binder-controller"].join()}`,
    ];
    const opening = openCluster({ productRules: null, flags: { controllers } });
    [cluster, slurm] = await Promise.all([opening, openSlurm({ nodes: 2, gpus: 8 })]);
    guide = new Guide(cluster.kubeconfig());
    await cluster.addNodes(2);
    await guide.must(`kubectl apply -f ${PVS}`);
    await guide.must(`kubectl apply -f ${MANIFESTS}/`);
  }, 240_000);
  afterAll(async () => {
    guide.close();
    await slurm.close();
    expect(await cluster.close()).toEqual([]);
  }, 60_000);

  const script = (flags: string): Promise<Ran> =>
    guide.sh(`./scripts/verify-k8s-hpc.sh ${flags}`, { SLURM_CONF: slurm.conf });
  async function verify(flags = ""): Promise<{ code: number; report: Report }> {
    const ran = await script(`--exec local -o json ${flags}`);
    return { code: ran.code, report: JSON.parse(ran.stdout) as Report };
  }
  const failedOf = ({ sections }: Report): string[] =>
    sections.filter(({ status }) => status === "failed").map(({ name }) => name);
  const scale = (to: number) =>
    guide.must(`kubectl -n slurm scale deploy slurm-controller --replicas=${to}`);

  test("A4", async () => {
    await until("every section passes", 60_000, async () => {
      const { code, report } = await verify();
      if (code === 0) return true;
      throw new Error(JSON.stringify(report.sections));
    });
    const { code, report } = await verify();
    expect([code, report.passed]).toEqual([0, true]);
    expect(report.sections.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    await scale(0);
    const away = await until("the pod is gone", 30_000, async () => {
      const one = await verify();
      return one.code === 0 ? null : one;
    });
    expect([away.code, failedOf(away.report)]).toEqual([
      1,
      expect.arrayContaining(["pods", "controller"]),
    ]);
    await scale(1);
    await until("every section passes again", 60_000, async () => {
      return (await verify()).code === 0 ? true : null;
    });
  }, 240_000);

  test("S26, S54: text for people, JUnit for CI", async () => {
    const text = await script("--exec local");
    expect([text.code, text.stdout]).toEqual([0, expect.stringContaining("PASS  8. munge")]);
    expect(text.stdout).toContain("slurm-wlm 22.05");
    const xml = (await script("--exec local -o junit")).stdout;
    expect(xml).toContain(
      '<testsuite name="navarch slurm verify" tests="8" failures="0" skipped="0">',
    );
  }, 60_000);

  test("S25: GPUs that the controller does not know are counted out", async () => {
    const node = (name: string, count: number) => `NodeName=${name} Gres=gpu:h100:${count}`;
    const set = async (conf: string) => {
      const patch = JSON.stringify({ data: { "slurm.conf": conf } });
      await guide.must(`kubectl -n slurm patch cm slurm-config --type=merge -p '${patch}'`);
    };
    const before = await guide.must(
      "kubectl -n slurm get cm slurm-config -o jsonpath='{.data.slurm\\.conf}'",
    );
    await set([node("n0", 8), node("n1", 7), node("gone", 8)].join("\n"));
    const { code, report } = await verify();
    expect([code, failedOf(report)]).toEqual([1, expect.arrayContaining(["gpus"])]);
    const lines = report.sections[6]?.lines.join("\n");
    expect(lines).toContain("gone: GPU_COUNT 0<8");
    expect(lines).toContain("n1: GPU_COUNT 8<7");
    await set(before);
  }, 60_000);

  test("S26: a namespace that is not there, and a cluster that is away", async () => {
    const other = await verify("--namespace elsewhere");
    expect([other.code, failedOf(other.report)]).toEqual([1, ["namespace"]]);
    expect(other.report.sections.at(-1)?.status).toBe("skipped");
    const away = await guide.sh("./scripts/verify-k8s-hpc.sh --exec local -o json", {
      KUBECONFIG: "/nonexistent",
    });
    expect([away.code, failedOf(JSON.parse(away.stdout) as Report)]).toEqual([1, ["cluster"]]);
    const wrong = await guide.sh("./bin/navarch slurm verify --exec ssh");
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--ssh-host")]);
  }, 60_000);

  test("S8: a Secret that went away is named", async () => {
    await guide.must("kubectl -n slurm delete secret slurm-db-credentials");
    const { code, report } = await verify();
    expect([code, failedOf(report)]).toEqual([1, ["references"]]);
    expect(report.sections[5]?.lines.join()).toContain("Secret slurm-db-credentials");
    await guide.must(`kubectl apply -f ${MANIFESTS}/secrets.yaml`);
  }, 60_000);

  test("S53: deploy applies, waits and verifies, and may be repeated", async () => {
    const env = { SLURM_CONF: slurm.conf };
    // A second cluster beside the first: no machine has its ports twice.
    const flags = "--namespace hpc --host-ports none";
    const dry = await guide.sh(`./bin/navarch slurm deploy --dry-run=server ${flags}`);
    expect([dry.code, dry.stderr.match(/server dry run/g)?.length]).toEqual([0, 13]);
    expect((await guide.sh("kubectl get namespace hpc")).code).toBe(1);
    await guide.must(`sed s/slurm-test/hpc-test/ ${PVS} | kubectl apply -f -`);
    const deploy = `./bin/navarch slurm deploy --exec local ${flags} -o json`;
    const first = await guide.sh(`${deploy} --ready-timeout 60s`, env);
    if (first.code !== 0) throw new Error(first.stdout + first.stderr);
    expect((JSON.parse(first.stdout) as Report).passed).toBe(true);
    const values = () => guide.must("kubectl -n hpc get secret -o jsonpath='{.items[*].data}'");
    const before = await values();
    expect(before).toMatch(/munge\.key.*root-password|root-password.*munge\.key/);
    const again = await guide.sh(`${deploy} --ready-timeout 60s`, env);
    expect([again.code, await values()]).toEqual([0, before]);
    const stuck = await guide.sh(`${deploy} --nodes 300 --ready-timeout 3s`, env);
    expect([stuck.code, stuck.stderr]).toEqual([7, expect.stringContaining("slurm-compute: ")]);
  }, 240_000);
});
