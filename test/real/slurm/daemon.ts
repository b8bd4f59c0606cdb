/**
 * Starts the daemons beside slurmctld: munged, MariaDB with slurmdbd, slurmrestd.
 *
 * Adapter: processes, files.
 */
import { chmodSync, existsSync } from "node:fs";
import { HOST_ENV, runCommand } from "../../fixture/machine/command.ts";
import { paths, type ClusterLayout } from "./conf.ts";
import type { Room } from "./room.ts";

const INSTALL_MS_MAX = 60_000;

export async function startMunge(room: Room): Promise<void> {
  const { mungeKey, mungeSocket } = paths(room.folder);
  const file = (name: string) => `${room.folder}/munge/munge.${name}`;
  room.start("munged", [
    "munged",
    "--foreground",
    `--key-file=${mungeKey}`,
    `--socket=${mungeSocket}`,
    `--pid-file=${file("pid")}`,
    `--seed-file=${file("seed")}`,
    `--log-file=${file("log")}`,
  ]);
  const probe = ["munge", "--no-input", `--socket=${mungeSocket}`];
  await room.wait("munged", async () => (await runCommand(room.beside(probe))).code === 0);
}

/** MariaDB with an empty database, slurmdbd on it, and the cluster in slurmdbd. */
export async function startDatabase(room: Room, layout: ClusterLayout): Promise<void> {
  const { folder, ports } = layout;
  const data = `${folder}/mysql`;
  const socket = `${data}/mysqld.sock`;
  const made = await runCommand(
    room.enter([
      "sh",
      "-c",
      `chown mysql "$0" && exec mariadb-install-db --no-defaults --user=mysql --datadir="$0" \
        --skip-test-db --auth-root-authentication-method=socket`,
      data,
    ]),
    { limitMs: INSTALL_MS_MAX },
  );
  if (made.code !== 0) throw new Error(`mariadb-install-db: ${made.stderr}${made.stdout}`);
  room.start("mariadbd", [
    "mariadbd",
    "--no-defaults",
    "--user=mysql",
    `--datadir=${data}`,
    // The temporary folder of a test run is its user's.
    `--tmpdir=${data}`,
    `--socket=${socket}`,
    `--pid-file=${data}/mysqld.pid`,
    "--bind-address=127.0.0.1",
    `--port=${ports.storage}`,
    // What it holds is thrown away: it must not wait for the disk.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-lock-wait-timeout=900",
  ]);
  const sql = `CREATE DATABASE IF NOT EXISTS slurm_acct_db;
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1' IDENTIFIED BY 'throw-away';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost' IDENTIFIED BY 'throw-away';`;
  const mysql = ["mariadb", "--no-defaults", `--socket=${socket}`, "-e", sql];
  await room.wait("mariadbd", async () => (await runCommand(room.enter(mysql))).code === 0);
  room.start("slurmdbd", ["slurmdbd", "-D"]);
  const env = { ...HOST_ENV, SLURM_CONF: paths(folder).conf };
  const add = ["sacctmgr", "-i", "add", "cluster", "navarch"];
  await room.wait("slurmdbd", async () => {
    const ran = await runCommand(room.enter(add), { env, limitMs: 10_000 });
    return ran.code === 0;
  });
}

/** Two: one on a socket that asks for nothing, whose callers are root here, one with tokens. */
export async function startRest(room: Room, layout: ClusterLayout): Promise<void> {
  const { conf, restSocket } = paths(layout.folder);
  const words = ["-f", conf, "-s", pluginsOf(layout).join(",")];
  const env = { SLURMRESTD_SECURITY: "disable_user_check" };
  const local = ["slurmrestd", "-a", "rest_auth/local", ...words, `unix:${restSocket}`];
  room.startBeside("slurmrestd", local, env);
  await room.wait("slurmrestd", () => existsSync(restSocket));
  chmodSync(restSocket, 0o666);
  const address = `127.0.0.1:${layout.ports.rest}`;
  room.startBeside("slurmrestd-jwt", ["slurmrestd", "-a", "rest_auth/jwt", ...words, address], {
    ...env,
    SLURM_JWT: "daemon",
  });
  await room.wait("slurmrestd-jwt", async () => {
    const answer = await fetch(`http://${address}/openapi/v3`).catch(() => null);
    return answer !== null;
  });
}

/** Since 23.11 one plugin offers all of its versions; without slurmdbd its plugin is fatal. */
function pluginsOf({ version, isAccounting }: ClusterLayout): string[] {
  if (version !== "22.05") return ["slurmctld", ...(isAccounting ? ["slurmdbd"] : [])];
  return ["openapi/v0.0.38", ...(isAccounting ? ["openapi/dbv0.0.38"] : [])];
}
