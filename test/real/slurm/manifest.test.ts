/**
 * The Slurm guide's manifests on a real API server, by its own command lines: the first apply of
 * the directory, closed references, current files, the key's Secret, and passwords that stay.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { parseObjects } from "../../deploy/object.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { openCluster, type Cluster } from "../kubernetes/cluster.ts";
import { CONTROLLERS } from "../kubernetes/server.ts";
import { Guide, MANIFESTS } from "./guide.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: Slurm's manifests on a real API server: ${missing}`);

test("a Kubernetes API server is here to install Slurm on", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

/** Besides what other tests need: claims are bound to the volumes that are there. */
const WITH_VOLUMES = `--controllers=${[...CONTROLLERS, "persistentvolume-binder-controller"].join()}`;

const PVS = join(import.meta.dir, "pvs.yaml");
const NAMES = "kubectl -n slurm get sts,deploy,svc,pvc,cm,secret -o name";
const KEYS = `kubectl -n slurm get secret slurm-db-credentials -o 'go-template={{range $k, $v := .data}}{{$k}}={{$v}} {{end}}'`;

describe.skipIf(missing !== null)("the Slurm guide on a real API server", () => {
  let cluster: Cluster;
  let guide: Guide;
  beforeAll(async () => {
    await buildStale();
    cluster = await openCluster({ productRules: null, flags: { controllers: [WITH_VOLUMES] } });
    guide = new Guide(cluster.kubeconfig());
    await cluster.addNodes(2);
  }, 240_000);
  afterAll(async () => {
    guide.close();
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("S4: step 3 makes the key and, where the cluster answers, its namespace", async () => {
    await guide.must("./scripts/generate-munge-key.sh");
    const { mode, size } = statSync(join(guide.folder, "build/shared/munge/munge.key"));
    expect([mode & 0o777, size]).toEqual([0o400, 1024]);
    const create =
      "kubectl create secret generic slurm-munge-key --from-file=munge.key=build/shared/munge/munge.key --namespace=slurm";
    expect(await guide.must(`${create} --dry-run=server -o name`)).toBe("secret/slurm-munge-key\n");
    await guide.must(create);
    const again = await guide.sh("./scripts/generate-munge-key.sh");
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("--force")]);
    // Where no cluster answers the key is made all the same.
    const away = { KUBECONFIG: "/nonexistent" };
    const forced = await guide.sh("./scripts/generate-munge-key.sh --force", away);
    expect([forced.code, forced.stderr]).toEqual([0, expect.stringContaining("namespace")]);
  }, 60_000);

  test("A1d, S20: the API server takes the key's Secret from standard input", async () => {
    const key = "build/shared/munge/munge.key";
    const secret = `./bin/navarch slurm munge-key --secret -i ${key}`;
    const taken = await guide.must(`${secret} | kubectl apply --dry-run=server -f - -o name`);
    expect(taken).toBe("secret/slurm-munge-key\n");
    const json = `${secret} --output json | kubectl create --dry-run=client -f - -o name`;
    const asJson = await guide.must(json);
    expect(asJson).toBe("secret/slurm-munge-key\n");
  }, 60_000);

  test("A3", async () => {
    // A cluster in which step 3 was forgotten: the directory alone brings its namespace.
    await guide.must("kubectl delete namespace slurm");
    await guide.must(`kubectl apply -f ${PVS}`);
    const applied = await guide.must(`kubectl apply -f ${MANIFESTS}/`);
    expect(
      applied
        .trim()
        .split("\n")
        .filter((line) => !/ (created|unchanged)$/.test(line)),
    ).toEqual([]);
    await guide.must(`./bin/navarch slurm manifests --check ${MANIFESTS}`);
    await guide.must(`./bin/navarch slurm refs ${MANIFESTS}`);
    const text = await guide.sh(`grep -rEn 'hostPath|/path/to|ControlMachine' ${MANIFESTS}`);
    expect([text.code, text.stdout]).toEqual([1, ""]);
    expect((await guide.must(`${NAMES} | grep -c slurm-`)).trim()).toBe("12");
    const again = await guide.must(`kubectl apply -f ${MANIFESTS}/`);
    expect(
      again
        .trim()
        .split("\n")
        .filter((line) => !/ unchanged$/.test(line)),
    ).toEqual([]);
    const kustomized = await guide.must(`kubectl apply -k ${MANIFESTS}/`);
    expect(kustomized.split("\n").filter((line) => / (created|configured)$/.test(line))).toEqual(
      [],
    );
  }, 120_000);

  test("S6: both claims are bound, and every pod finds a machine of two", async () => {
    await until("the pods run", 60_000, async () => {
      const pods = await guide.must("kubectl -n slurm get pods --no-headers");
      const lines = pods.trim().split("\n");
      return lines.length === 6 && lines.every((line) => / Running /.test(line)) ? true : null;
    });
    const claims = await guide.must(
      "kubectl -n slurm get pvc -o jsonpath='{.items[*].status.phase}'",
    );
    expect(claims).toBe("Bound Bound");
  }, 90_000);

  test("S8: passwords are made once, and no apply takes them away", async () => {
    expect(await guide.must(KEYS)).toBe("");
    await guide.must("kubectl create namespace elsewhere");
    const fill = "./bin/navarch slurm manifests --secrets random | kubectl apply -f -";
    await guide.must(fill);
    const first = await guide.must(KEYS);
    expect(first).toMatch(/^password=\S{20,} root-password=\S{20,} $/);
    const given = await guide.must("./bin/navarch slurm manifests --secrets random");
    expect(given).not.toContain("stringData");
    await guide.must(fill);
    expect(await guide.must(KEYS)).toBe(first);
    await guide.must(`kubectl apply -f ${MANIFESTS}/`);
    expect(await guide.must(KEYS)).toBe(first);
    // One that an operator took away is made again, the other stays.
    await guide.must(
      `kubectl -n slurm patch secret slurm-db-credentials --type=json -p '[{"op":"remove","path":"/data/root-password"}]'`,
    );
    await guide.must(fill);
    const [password, root] = (await guide.must(KEYS)).trim().split(" ");
    expect([password, root === first.trim().split(" ")[1]]).toEqual([first.split(" ")[0], false]);
    const away = await guide.sh("./bin/navarch slurm manifests --secrets random | cat", {
      KUBECONFIG: "/nonexistent",
    });
    expect([away.stdout, away.stderr]).toEqual(["", expect.stringContaining("none are made")]);
  }, 120_000);

  test("S7: the server accepts every option, with strict validation", async () => {
    const options = [
      "--namespace gpu --nodes 5 --gpus 8 --cpus 96 --memory 1024Gi --storage-class ''",
      "--namespace cgroup --cgroup --host-ports all",
      "--namespace hpc --image registry.example/slurm:24.11 --host-ports none",
    ];
    for (const option of options) {
      const stream = await guide.must(`./bin/navarch slurm manifests ${option}`);
      writeFileSync(join(guide.folder, "all.yaml"), stream);
      const { namespace = "" } = parseObjects(stream)[1]?.metadata ?? {};
      // A dry run creates no namespace for the objects in it.
      await guide.sh(`kubectl create namespace ${namespace}`);
      const apply = "kubectl apply --dry-run=server --validate=strict -f all.yaml";
      const lines = (await guide.must(apply)).trim().split("\n");
      expect([option, lines.length]).toEqual([option, 13]);
    }
  }, 120_000);
});
