/**
 * Slurm's manifests and image files without a cluster. `test/real/slurm/manifest.test.ts` applies
 * them, and `entrypoint.test.ts` there runs the entry of the image.
 */
import { describe, expect, test } from "bun:test";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { renderSlurmStream } from "../../deploy/slurm/manifest.ts";
import { SLURM_DEFAULTS, type SlurmManifestOptions } from "../../deploy/slurm/manifest-option.ts";
import { judgeReferences } from "../../deploy/slurm/reference.ts";
import type { KubeObject } from "../../deploy/slurm/reference-set.ts";
import { navarch } from "../cli/spawn.ts";
import { parseDocuments, parseObjects } from "./object.ts";

const GUIDE = join(ROOT, "deploy/guide/slurm");
const FOLDER = join(GUIDE, "k8s-manifests/hpc-slurm");
const IMAGE = "containers/images/slurm-base/Docker";
const read = (path: string): string => readFileSync(join(GUIDE, path), "utf8");
const MUNGE = { kind: "secret", name: "slurm-munge-key", keys: ["munge.key"] };

const render = (more: Partial<SlurmManifestOptions> = {}): string =>
  renderSlurmStream({ ...SLURM_DEFAULTS, ...more }, null);
const objectsOf = (text: string): KubeObject[] => parseObjects(text) as unknown as KubeObject[];
const refsOf = (text: string): string[] => judgeReferences(objectsOf(text), [MUNGE]).dangling;

async function withCopy<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "slurm-manifests-"));
  cpSync(FOLDER, folder, { recursive: true });
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("navarch slurm manifests", () => {
  test("S7: the committed files are the default rendering", async () => {
    const ran = await navarch(["slurm", "manifests", "--check", FOLDER]);
    expect([ran.code, ran.err]).toEqual([0, ""]);
  });

  test("S7, S54: --check exits with 1 on a changed, a missing and a further file", async () => {
    await withCopy(async (folder) => {
      rmSync(join(folder, "storage.yaml"));
      writeFileSync(join(folder, "secrets.yaml"), "data: {}\n");
      writeFileSync(join(folder, "more.yml"), "");
      const ran = await navarch(["slurm", "manifests", "--check", folder]);
      expect(ran.code).toBe(1);
      for (const name of [
        "storage.yaml: is missing",
        "secrets.yaml: differs",
        "more.yml: is not",
      ]) {
        expect(ran.err).toContain(name);
      }
    });
  });

  test("S7: the same flags give the same bytes", () => {
    const gpus = { model: "h100", count: 8 };
    expect(render({ nodes: 40, gpus })).toBe(render({ nodes: 40, gpus }));
  });

  test("S10: secrets are mounted aside and readable by their owner alone", () => {
    const volumes = [...render().matchAll(/secretName: (\S+)\n +defaultMode: (\d+)/g)];
    expect(volumes.map(([, name, mode]) => `${name} ${Number(mode).toString(8)}`).sort()).toEqual([
      "slurm-db-credentials 400",
      "slurm-db-credentials 440",
      "slurm-munge-key 400",
      "slurm-munge-key 400",
      "slurm-munge-key 400",
    ]);
    expect(render()).not.toContain("mountPath: /etc/munge\n");
  });

  test("S11: no privilege and few capabilities, unless --cgroup asks", () => {
    expect(render()).not.toContain("privileged: true");
    expect(render().split("drop: [ALL]")).toHaveLength(5);
    expect(render({ hasCgroup: true }).split("privileged: true")).toHaveLength(2);
    expect(render({ hasCgroup: true })).toContain("ProctrackType=proctrack/cgroup");
  });

  test("S52: the GPU variant asks for the devices, tolerates their taint and names them", () => {
    const text = render({ gpus: { model: "h100", count: 8 } });
    const parts = ["nvidia.com/gpu: 8", "nvidia.com/gpu.present", "key: nvidia.com/gpu"];
    for (const part of [...parts, "Gres=gpu:h100:8", "File=/dev/nvidia[0-7]"]) {
      expect(text).toContain(part);
    }
    expect(refsOf(text)).toEqual([]);
    expect(render()).not.toContain("nvidia");
  });

  test("S51: the ConfigMap has every file whole, with a line for each pod", () => {
    for (const nodes of [1, 3, 40]) {
      const found = objectsOf(render({ nodes })).filter(({ kind }) => kind === "ConfigMap");
      const data: Readonly<Record<string, string>> = Object.assign({}, found[0]?.["data"]);
      expect(found).toHaveLength(1);
      const names = ["cgroup.conf", "gres.conf", "slurm.conf", "slurmdbd.conf"];
      expect(Object.keys(data).sort()).toEqual(names);
      const lines = data["slurm.conf"]?.match(/^NodeName=slurm-compute-\d+ .*/gm) ?? [];
      expect(lines).toHaveLength(nodes);
    }
  });

  test("a node never declares more than its container may use", () => {
    const text = render({ cpus: 96, memoryMiB: 4096 });
    expect(text).toContain("CPUs=96 RealMemory=3840");
    expect(text).toContain('cpu: "96"\n            memory: 4Gi');
  });

  const refused = [
    ["--nodes", "0"],
    ["--nodes", "1e3"],
    ["--nodes", "1001"],
    ["--memory", "2Ti"],
    ["--memory", "511Mi"],
    ["--gpus", "17"],
    ["--gpu-model", "h100"],
    ["--image", "a b"],
    ["--image", "x\n  evil: 1"],
    ["--storage-class", "a: b"],
    ["--namespace", "Slurm"],
    ["--host-ports", "some"],
    ["--slurm-version", "19.05"],
    ["--secrets", "fixed"],
  ];
  test.each(refused)("refuses %s %s", async (flag, value) => {
    const ran = await navarch(["slurm", "manifests", flag, value]);
    expect([ran.code, ran.out, ran.err]).toEqual([2, "", expect.stringContaining(flag.slice(2))]);
  });
});

describe("navarch slurm refs", () => {
  test("S8: names what dangles and exits with 1", async () => {
    await withCopy(async (folder) => {
      const path = join(folder, "slurm-config-template.yaml");
      const text = readFileSync(path, "utf8");
      writeFileSync(path, text.replace("name: slurm-config", "name: slurm-conf"));
      const ran = await navarch(["slurm", "refs", folder]);
      expect([ran.code, ran.out]).toEqual([1, expect.stringContaining("ConfigMap slurm-config")]);
    });
    const fine = await navarch(["slurm", "refs", FOLDER, "-o", "json"]);
    const report = JSON.parse(fine.out) as { objects: number; references: number };
    expect([fine.code, report.objects, report.references > 50]).toEqual([0, 14, true]);
  });

  /** One change of the default set each, and what it leaves open. */
  const broken: [string, string, string][] = [
    [
      "kind: Secret\nmetadata:\n  name: slurm-db",
      "kind: Secret\nmetadata:\n  name: db",
      "Secret slurm-db-credentials",
    ],
    [
      "    navarch.dev/keys: root-password,password",
      "    navarch.dev/keys: password",
      "key root-password",
    ],
    ["claimName: slurm-state-pvc", "claimName: slurm-db-pvc", "ReadWriteOnce and used by"],
    ["claimName: slurm-state-pvc", "claimName: slurm-state", "PersistentVolumeClaim slurm-state "],
    ["SlurmctldHost=slurm-controller", "SlurmctldHost=ctl", "Service ctl (SlurmctldHost"],
    ["DbdPort=6819", "DbdPort=6820", "port 6820 of Service slurm-dbdaemon"],
    ["serviceName: slurm-compute", "serviceName: slurmd", "Service slurmd"],
    ["targetPort: slurmctld", "targetPort: ctld", "port ctld of its pods"],
    ["replicas: 3", "replicas: 2", "pod slurm-compute-2 (NodeAddr of slurm-compute-2)"],
    ["SlurmdPort=6818", "SlurmdPort=6800", "port 6800 of slurm-compute"],
    [
      "  selector:\n    app: slurm-controller",
      "  selector:\n    app: ctl",
      "any workload by its selector",
    ],
    [
      "      - name: state\n        persistentVolumeClaim:\n          claimName: slurm-state-pvc",
      "      - name: state\n        hostPath: {path: /x}",
      "hostPath in volume state",
    ],
    ["SlurmUser=slurm", "ControlMachine=ctl", 'placeholder text "ControlMachine"'],
    ["mountPath: /etc/slurm-munge", "mountPath: /path/to/key", 'placeholder text "/path/to"'],
    ["  name: slurm\n  labels", "  name: hpc\n  labels", "Namespace slurm"],
  ];
  test.each(broken)("S8: %j as %j leaves open: %s", (from, to, said) => {
    const text = render();
    expect(text).toContain(from);
    expect(refsOf(text.replace(from, to)).join("\n")).toContain(said);
  });

  test("S8: what is given is there, with its keys", () => {
    expect(judgeReferences(objectsOf(render()), []).dangling.join()).toContain("slurm-munge-key");
    const bare = judgeReferences(objectsOf(render()), [{ ...MUNGE, keys: [] }]);
    expect(bare.dangling).toEqual([]);
  });
});

describe("files of the guide", () => {
  test("S1: the setup goes from the local cluster to its verification, by either option", () => {
    const headings = (name: string): string[] =>
      [...read(`docs/guides/k8s-native-${name}.md`).matchAll(/^## (.+)$/gm)].map(
        ([, heading = ""]) => heading,
      );
    const steps = ["Local cluster", "Build the image", "Static deployment", "Slinky"];
    const setup = headings("setup");
    for (const step of [...steps, "Several tenants", "Verify", "Next steps"]) {
      expect(setup).toContain(step);
    }
    expect(headings("migration-summary")).toContain("Limits");
  });

  test("S3: each file that kubectl or kustomize applies is there", () => {
    const daemons = ["mariadb-deployment", "slurmdbd-deployment", "slurmctld-deployment"];
    const names = ["namespace", "secrets", "storage", ...daemons, "slurmd-statefulset"];
    const files = [...names, "slurm-config-template"].map((name) => `${name}.yaml`);
    const found = readdirSync(FOLDER).filter((name) => name.endsWith(".yaml"));
    expect(found.sort()).toEqual(files.toSorted());
    const kustomized = readFileSync(join(FOLDER, "Kustomization"), "utf8");
    // The Namespace heads the first file.
    for (const file of files.slice(1)) expect(kustomized).toContain(`- ${file}`);
  });

  test("S5: the local cluster maps its ports on the loopback address alone", () => {
    type Mapping = { containerPort: number; hostPort: number; listenAddress: string };
    type Node = { role: string; extraPortMappings?: Mapping[]; labels?: Record<string, string> };
    const [kind] = parseDocuments(read("kind-config.yaml")) as [{ nodes: Node[] }];
    expect(kind.nodes.map(({ role }) => role)).toEqual(["control-plane", "worker", "worker"]);
    const mapped = kind.nodes.flatMap(({ extraPortMappings = [] }) => extraPortMappings);
    expect(mapped.map(({ hostPort }) => hostPort)).toEqual([30_000, 6817, 6818, 6819]);
    for (const one of mapped) {
      expect([one.containerPort, one.listenAddress]).toEqual([one.hostPort, "127.0.0.1"]);
    }
    const ports = (text: string) => [...text.matchAll(/hostPort: (\d+)/g)].map(([, port]) => port);
    expect(ports(render())).toEqual(["6817", "6819"]);
    expect(ports(render({ hostPorts: "all" }))).toEqual(["6817", "6818", "6819"]);
    expect(ports(render({ hostPorts: "none" }))).toEqual([]);
    // The pods with these ports prefer the machine that has the mappings.
    const [label = ""] = Object.keys(kind.nodes[1]?.labels ?? {});
    expect(render().split(`key: ${label}\n`)).toHaveLength(3);
  });

  test("S23: packages are installed at the build, and no key stays in the image", () => {
    const [docker, install] = ["Dockerfile", "install-slurm.sh"].map((one) =>
      read(`${IMAGE}/${one}`),
    );
    expect(docker).toContain("RUN /usr/local/sbin/install-slurm.sh ${ROLES}");
    expect(docker).not.toMatch(/VOLUME|ADD /);
    expect(install).toContain("rm -f /etc/munge/munge.key");
    const run = Bun.spawnSync([join(GUIDE, IMAGE, "install-slurm.sh"), "login"]);
    expect([run.exitCode, run.stderr.toString()]).toEqual([64, expect.stringContaining("'login'")]);
  });

  test("S2: scripts can be run", () => {
    const scripts = [`${IMAGE}/entrypoint.sh`, `${IMAGE}/install-slurm.sh`];
    for (const path of [...scripts, "scripts/generate-munge-key.sh", "scripts/verify-k8s-hpc.sh"]) {
      expect([path, statSync(join(GUIDE, path)).mode & 0o111]).toEqual([path, 0o111]);
    }
  });
});
