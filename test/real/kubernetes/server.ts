/**
 * The command lines of a throw-away control plane: etcd, API server, controller manager, scheduler
 * and KWOK, all on the loopback address and without leader election.
 */
import { binaryPath } from "./binary.ts";
import type { Part } from "./part.ts";

export type Layout = {
  folder: string;
  ports: { apiserver: number; etcd: number; peer: number };
  hasControllers: boolean;
  /** Whether the admission plugin insists that every pod has a service account. */
  hasServiceAccounts: boolean;
  isSynced: boolean;
  /** Appended, so that they win over the same flag here. */
  flags: Partial<Record<Part, readonly string[]>>;
};

/** On by name, so that no controller runs whose work nobody looks at. */
export const CONTROLLERS = [
  "clusterrole-aggregation-controller",
  "cronjob-controller",
  "daemonset-controller",
  "deployment-controller",
  "device-taint-eviction-controller",
  "disruption-controller",
  "endpointslice-controller",
  "garbage-collector-controller",
  "job-controller",
  "namespace-controller",
  "node-lifecycle-controller",
  "pod-garbage-collector-controller",
  "replicaset-controller",
  "resourceclaim-controller",
  "resourcequota-controller",
  "root-ca-certificate-publisher-controller",
  "service-cidr-controller",
  "serviceaccount-controller",
  "statefulset-controller",
  "taint-eviction-controller",
  "validatingadmissionpolicy-status-controller",
];

/** Requests a second of a part; its default of 20 is meant for clusters that others share. */
const QPS = ["--kube-api-qps=1000", "--kube-api-burst=2000"];

export function commandOf(part: Part, layout: Layout): string[] {
  return [...ownCommand(part, layout), ...(layout.flags[part] ?? [])];
}

function ownCommand(part: Part, layout: Layout): string[] {
  switch (part) {
    case "etcd":
      return etcd(layout);
    case "apiserver":
      return apiserver(layout);
    case "controllers":
      return [
        binaryPath("kube-controller-manager"),
        ...client(part),
        "--service-account-private-key-file=token.key",
        "--root-ca-file=ca.crt",
        `--controllers=${CONTROLLERS.join(",")}`,
      ];
    case "scheduler":
      return [binaryPath("kube-scheduler"), ...client(part)];
    case "kwok":
      return [
        binaryPath("kwok"),
        `--kubeconfig=${part}.kubeconfig`,
        "--config=kwok.yaml",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-ip=127.0.0.1",
        "--node-lease-duration-seconds=40",
      ];
  }
}

function client(part: Part): string[] {
  return [`--kubeconfig=${part}.kubeconfig`, "--leader-elect=false", "--secure-port=0", ...QPS];
}

function etcd({ ports, isSynced }: Layout): string[] {
  const [clients, peers] = [ports.etcd, ports.peer].map((port) => `http://127.0.0.1:${port}`);
  return [
    binaryPath("etcd"),
    "--data-dir=etcd",
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
    ...(isSynced ? [] : ["--unsafe-no-fsync"]),
  ];
}

function apiserver({ ports, hasControllers, hasServiceAccounts }: Layout): string[] {
  // Only the node controller takes the taint of a new node away again.
  const off = [
    ...(hasControllers ? [] : ["TaintNodesByCondition"]),
    ...(hasServiceAccounts ? [] : ["ServiceAccount"]),
  ];
  return [
    binaryPath("kube-apiserver"),
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${ports.apiserver}`,
    // It would publish its own address, and a loopback address may not be published.
    "--endpoint-reconciler-type=none",
    "--tls-cert-file=server.crt",
    "--tls-private-key-file=server.key",
    "--client-ca-file=ca.crt",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-account-key-file=token.pub",
    "--service-account-signing-key-file=token.key",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--authorization-mode=Node,RBAC",
    "--allow-privileged=true",
    "--audit-policy-file=audit-policy.yaml",
    "--audit-log-path=audit.log",
    // One file for the cluster's whole life: a reader must not lose what was rotated away.
    "--audit-log-maxsize=0",
    ...(off.length === 0 ? [] : [`--disable-admission-plugins=${off.join(",")}`]),
  ];
}

/** Every request once, when it is answered; a watch when it begins and when it ends. */
export const AUDIT_POLICY = JSON.stringify({
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    // The pulse of virtual kubelets, 150 lines a second of 1,500 nodes, tells nothing.
    {
      level: "None",
      users: ["part:kwok"],
      verbs: ["update"],
      resources: [{ group: "coordination.k8s.io", resources: ["leases"] }],
    },
    { level: "Metadata" },
  ],
});
