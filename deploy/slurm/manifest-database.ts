/** MariaDB and slurmdbd, the accounting of a Slurm cluster on Kubernetes. Pure. */
import { renderNamespace } from "./manifest-base.ts";
import { DB_SECRET, type SlurmManifestOptions } from "./manifest-option.ts";
import {
  block,
  hostAffinity,
  MOUNTS,
  POD_DEFAULTS,
  REAL_NODES,
  port,
  probes,
  resources,
  SECCOMP,
  securityContext,
  service,
  VOLUMES,
} from "./manifest-pod.ts";

const SIZE = { request: "250m/256Mi", limit: "500m/512Mi" };
const DBD_RIGHTS = resources(SIZE) + securityContext(false);

/** The password in the environment of one process, never in its arguments. */
const PING = `exec:
    command:
    - sh
    - -c
    - >-
      MYSQL_PWD="$(cat /etc/slurm-db/password)" exec
      mariadb-admin --host=127.0.0.1 --user=slurm --connect-timeout=5 ping
  timeoutSeconds: 10
`;

const MARIADB_PROBES = `startupProbe:
  ${PING}  periodSeconds: 5
  failureThreshold: 120
readinessProbe:
  ${PING}  periodSeconds: 15
livenessProbe:
  ${PING}  periodSeconds: 30
  failureThreshold: 10
`;

export function renderMariadb(options: SlurmManifestOptions): string {
  return `# The Namespace is in this file too: kubectl applies files by name, and this is the first.
${renderNamespace(options)}---
${service(options, { name: "slurm-mariadb", port: "mysql", number: 3306, isHeadless: true })}---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: slurm-mariadb
  namespace: ${options.namespace}
  labels:
    app: slurm-mariadb
spec:
  serviceName: slurm-mariadb
  replicas: 1
  selector:
    matchLabels:
      app: slurm-mariadb
  template:
    metadata:
      labels:
        app: slurm-mariadb
    spec:
${block(6, POD_DEFAULTS, REAL_NODES, MARIADB_POD)}`;
}

const MARIADB_CONTAINER = `- name: mariadb
  image: mariadb:10.11
  # What slurmdbd asks for, as far as the memory goes; with the defaults long queries fail.
  args:
  - --innodb-buffer-pool-size=256M
  - --innodb-log-file-size=64M
  - --innodb-lock-wait-timeout=900
  - --max-allowed-packet=16M
  env:
  - name: MARIADB_DATABASE
    value: slurm_acct_db
  - name: MARIADB_USER
    value: slurm
  - name: MARIADB_PASSWORD_FILE
    value: /etc/slurm-db/password
  - name: MARIADB_ROOT_PASSWORD_FILE
    value: /etc/slurm-db/root-password
  ports:
${block(2, port("mysql", 3306, false), MARIADB_PROBES, resources(SIZE))}  securityContext:
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
  volumeMounts:
  - name: data
    mountPath: /var/lib/mysql
    # A new disk has a folder lost+found, which MariaDB would take for a database.
    subPath: mysql
  - name: passwords
    mountPath: /etc/slurm-db
    readOnly: true
`;

const MARIADB_POD = `# The image's own user.
securityContext:
  runAsNonRoot: true
  runAsUser: 999
  runAsGroup: 999
  fsGroup: 999
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
containers:
${MARIADB_CONTAINER}volumes:
- name: data
  persistentVolumeClaim:
    claimName: slurm-db-pvc
- name: passwords
  secret:
    secretName: ${DB_SECRET}
    defaultMode: 288 # 0440
    items:
    - key: root-password
      path: root-password
    - key: password
      path: password
`;

export function renderSlurmdbd(options: SlurmManifestOptions): string {
  const { namespace, image, hostPorts } = options;
  return `${service(options, { name: "slurm-dbdaemon", port: "slurmdbd", number: 6819 })}---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: slurm-dbdaemon
  namespace: ${namespace}
  labels:
    app: slurm-dbdaemon
spec:
  replicas: 1
  # slurmdbd is one process: a second one beside it would refuse to serve.
  strategy:
    type: Recreate
  selector:
    matchLabels:
      app: slurm-dbdaemon
  template:
    metadata:
      labels:
        app: slurm-dbdaemon
    spec:
      # DbdHost of slurmdbd.conf: slurmdbd refuses to start on a host of another name.
      hostname: slurm-dbdaemon
${block(6, POD_DEFAULTS, SECCOMP, hostAffinity(options))}      containers:
      - name: slurmdbd
        image: ${image}
        imagePullPolicy: IfNotPresent
        env:
        - name: SLURM_ROLE
          value: database
        ports:
${block(8, port("slurmdbd", 6819, hostPorts !== "none"), probes(), DBD_RIGHTS)}        volumeMounts:
${block(8, MOUNTS)}        - name: password
          mountPath: /etc/slurm-db
          readOnly: true
      volumes:
${block(6, VOLUMES)}      - name: password
        secret:
          secretName: ${DB_SECRET}
          defaultMode: 256 # 0400
          items:
          - key: password
            path: password
`;
}
