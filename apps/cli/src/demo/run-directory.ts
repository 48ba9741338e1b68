/** Where one run of the demo keeps its daemons' directories, overlays, consoles and logs. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** sockaddr_un holds 108 bytes with the final zero (unix(7)); the longest socket below a run is about 30. */
const PATH_BYTES_MAX = 107 - 40;

export class RunDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * A new one under `parent`, or under the system's temporary directory when sockets would not fit there. Throws
   * OperatorError.
   */
  static async create(parent: string): Promise<RunDirectory> {
    const isShort = Buffer.byteLength(join(parent, 'run-XXXXXX')) <= PATH_BYTES_MAX;
    const prefix = isShort ? join(parent, 'run-') : join(tmpdir(), 'bootswarm-demo-');
    try {
      await mkdir(parent, { recursive: true });
      return new RunDirectory(await mkdtemp(prefix));
    } catch (error) {
      throw new OperatorError(
        'demo-directory',
        `cannot make a directory for the demo in ${parent}: ${messageOf(error)}`,
        'run it in a directory that you may write to, with 1 GB of space',
        { cause: error },
      );
    }
  }

  log(name: string): string {
    return join(this.path, `${name}.log`);
  }

  /** A path of a directory below; whoever uses it makes it. */
  directory(...names: string[]): string {
    return join(this.path, ...names);
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
