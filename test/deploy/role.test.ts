/**
 * What the shipped accounts may do, as a golden list. A line more is a decision: it belongs in
 * `deploy/11-role.yaml` with its reason and here.
 */
import { expect, test } from "bun:test";
import { LEASE_RULE, PRODUCT_RULES } from "../real/kubernetes/access.ts";
import {
  JOIN_PERMISSIONS,
  formatPermission,
  podPermissions,
} from "../../reconciler/kubernetes/permission.ts";
import { plainObjects, readObjects } from "./object.ts";

const plain = plainObjects();
const roles = plain.filter((object) => /^(Cluster)?Role$/.test(object.kind));

type Grant = { where: string; group: string; resource: string; verb: string };

const grants: Grant[] = roles.flatMap((role) => {
  const where = role.metadata.namespace ?? "*";
  return (role.rules ?? []).flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => ({ where, group, resource, verb }))),
    ),
  );
});

test("the control plane may do this and nothing else", () => {
  const lines = grants.map(({ where, group, resource, verb }) => {
    return `${where} ${group === "" ? resource : `${resource}.${group}`} ${verb}`;
  });
  expect(lines).toEqual([
    "* nodes get",
    "* nodes list",
    "* nodes watch",
    "* nodes patch",
    "* nodes delete",
    "* nodes/status patch",
    "* pods get",
    "* pods list",
    "* pods watch",
    "* pods/eviction create",
    "* daemonsets.apps get",
    "* poddisruptionbudgets.policy list",
    "* poddisruptionbudgets.policy watch",
    "* volumeattachments.storage.k8s.io list",
    "* volumeattachments.storage.k8s.io watch",
    "* events.events.k8s.io create",
    "* events.events.k8s.io patch",
    "* events patch",
    "* tokenreviews.authentication.k8s.io create",
    "* pods delete",
    "kube-node-lease leases.coordination.k8s.io get",
    "kube-node-lease leases.coordination.k8s.io list",
    "kube-node-lease leases.coordination.k8s.io watch",
  ]);
});

test("nothing of the list of what it must never have is granted", () => {
  const never = grants.filter(
    ({ group, resource, verb }) =>
      [group, resource, verb].some((word) => word.includes("*")) ||
      /^(secrets|nodes\/proxy|serviceaccounts\/token|pods\/exec)$/.test(resource) ||
      /^(escalate|bind|impersonate|deletecollection|update)$/.test(verb) ||
      (resource === "nodes" && verb === "create"),
  );
  expect(never).toEqual([]);
});

test("to join machines it may do this besides, and exactly what doctor asks for", () => {
  const option = readObjects("overlay/cluster-join/cluster-join.yaml");
  const printed = option.flatMap(({ metadata, rules = [] }) =>
    rules.flatMap(({ resources: [resource = ""], resourceNames, verbs }) =>
      verbs.map((verb) => {
        const one = resourceNames === undefined ? "" : ` ${resourceNames.join(",")}`;
        return `${verb} ${resource}${one} in namespace ${metadata.namespace}`;
      }),
    ),
  );
  expect(printed).toEqual(JOIN_PERMISSIONS.map(formatPermission));
});

test("to size Slurm's pods it may change one StatefulSet by name, as doctor asks for", () => {
  const place = { namespace: "slurm", name: "slurm-compute" };
  const [role] = readObjects("overlay/slurm-pods/slurm-pods.yaml");
  expect(role?.metadata.namespace).toBe(place.namespace);
  expect(role?.rules).toEqual([
    {
      apiGroups: ["apps"],
      resources: ["statefulsets"],
      resourceNames: [place.name],
      verbs: podPermissions(place).map(({ verb }) => verb),
    },
  ]);
});

test("the agents' account has no role at all", () => {
  const bound = plain.flatMap((object) => object.subjects ?? []);
  expect(new Set(bound.map((subject) => subject.name))).toEqual(new Set(["navarch-control-plane"]));
});

test("the account that the tests of the cluster use has these very rules", () => {
  const account = PRODUCT_RULES.flatMap(({ apiGroups, resources, verbs }) =>
    verbs.map((verb) => ({ where: "*", group: apiGroups[0], resource: resources[0], verb })),
  );
  const { apiGroups, resources, verbs } = LEASE_RULE;
  const lease = { where: "kube-node-lease", group: apiGroups[0], resource: resources[0] };
  expect(grants).toEqual([...account, ...verbs.map((verb) => ({ ...lease, verb }))] as Grant[]);
});
