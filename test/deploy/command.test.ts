/**
 * `navarch manifests kubernetes` through its command line: the shipped files as they are, and what
 * its flags make of them. That a real server takes it is shown in `test/real/kubernetes/`.
 */
import { expect, test } from "bun:test";
import { navarch } from "../cli/spawn.ts";
import {
  byKey,
  type KubeObject,
  one,
  parseObjects,
  plainObjects,
  readObjects,
  type Workload,
} from "./object.ts";

const print = async (...args: string[]) => navarch(["manifests", "kubernetes", ...args]);

test("prints the files of deploy/, remarks and all", async () => {
  const { code, out, err } = await print();
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(parseObjects(out)).toEqual(plainObjects());
  expect(out).toContain("# All that the control plane may do.");
});

test("prints one List as JSON, one object a line, and names", async () => {
  const forms = await Promise.all(["json", "jsonl", "name", "yaml"].map((o) => print("-o", o)));
  const [json, jsonl, name, yaml] = forms.map(({ out }) => out);
  const list = { apiVersion: "v1", kind: "List", items: plainObjects() };
  expect(JSON.parse(json ?? "")).toEqual(list);
  const lines = jsonl?.trim().split("\n") ?? [];
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual(plainObjects());
  expect(name?.split("\n")[0]).toBe("Namespace/navarch");
  expect(yaml).toBe((await print()).out);
});

test("--namespace moves every object, subject and name of a service", async () => {
  const { out } = await print("--namespace", "gpu-fleet");
  const objects = parseObjects(out);
  const where = objects.map(({ metadata }) => metadata.namespace);
  expect(new Set(where)).toEqual(new Set([undefined, "gpu-fleet", "kube-node-lease"]));
  expect(one(objects, "Namespace").metadata.name).toBe("gpu-fleet");
  const subjects = objects.flatMap((object) => object.subjects ?? []);
  expect(subjects.map((subject) => subject.namespace)).toEqual([
    "gpu-fleet",
    "gpu-fleet",
    "gpu-fleet",
  ]);
  expect(out).not.toMatch(/\bnavarch\.svc|-n navarch |namespace: navarch\b/);
  // Names stay: the guide's, and those that objects know each other by.
  const back = JSON.stringify(objects).replaceAll("gpu-fleet", "navarch");
  expect(JSON.parse(back) as KubeObject[]).toEqual(plainObjects());
});

test("--image-tag is the tag of both images", async () => {
  const objects = parseObjects((await print("--image-tag", "1.2.3-rc.1")).out);
  const images = ["Deployment", "DaemonSet"].map((kind) => {
    return one<Workload>(objects, kind).spec.template.spec.containers[0].image;
  });
  expect(images).toEqual(["navarch/control-plane:1.2.3-rc.1", "navarch/node:1.2.3-rc.1"]);
});

test("--ha is two replicas on a server, and a budget, without the volume", async () => {
  const { out, err } = await print("--ha", "--database", "libsql://db.example.com:8080");
  expect(err).toBe("");
  const objects = parseObjects(out);
  const keys = Object.keys(byKey(objects));
  expect(keys).toContain("PodDisruptionBudget/navarch/navarch-control-plane");
  expect(keys.filter((key) => key.startsWith("PersistentVolumeClaim"))).toEqual([]);
  const { spec } = one<Workload>(objects, "Deployment");
  expect([spec.replicas, spec.strategy?.type]).toEqual([2, "RollingUpdate"]);
  expect(spec.template.spec.volumes).toContainEqual({ name: "state", emptyDir: {} } as never);
  const config = one(objects, "ConfigMap").data?.["config.yaml"];
  expect(config).toContain("state_path: libsql://db.example.com:8080\n");
});

test("--ha alone names the server that it expects, in the namespace", async () => {
  const { out, err } = await print("--ha", "--namespace", "gpu");
  expect(err).toStartWith("note: --ha expects a libSQL server at http://libsql.gpu.svc.");
  expect(out).toContain("state_path: http://libsql.gpu.svc.cluster.local:8080\n");
});

test.each([
  [["--namespace", "Bad_Name"], "--namespace Bad_Name: expected"],
  [["--namespace", "x\nkind: Secret"], "--namespace"],
  [["--image-tag", "a b"], "--image-tag a b: expected"],
  [["--database", "http://db"], "--database needs --ha"],
  [["--ha", "--database", "db:8080"], "--database db:8080: expected"],
  [["nomad"], "unexpected"],
])("refuses %p with its reason", async (args, message) => {
  const { code, out, err } = await print(...args);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
});

test("the overlays patch objects that there are", () => {
  const plain = byKey(plainObjects());
  for (const name of ["nvidia-runtime", "own-selector", "narrow-device", "token-file", "ha"]) {
    for (const patch of readObjects(`overlay/${name}/patch.yaml`)) {
      expect(Object.keys(plain)).toContain(Object.keys(byKey([patch]))[0] ?? "");
    }
  }
});
