/**
 * Opens the kernel log as a source of records: the device, or a FIFO or file for rehearsals.
 * Adapter: opens one file.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { DeviceSource } from "./device-source.ts";
import { FileSource } from "./file-source.ts";
import { messageOf, type OpenSource } from "./source.ts";

/** Opens the log for reading, or says why it cannot be. Only a device calls `wake`. */
export const openSource: OpenSource = (path, wake) => {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (stat.isCharacterDevice()) return new DeviceSource(fd, wake);
    if (stat.isDirectory()) {
      closeSync(fd);
      return { error: `${path} is a directory` };
    }
    return new FileSource(path, fd, stat.isFile());
  } catch (error) {
    return { error: messageOf(error) };
  }
};
