import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../../../backend/index.js';
import { messageOf } from '../../../../model/index.js';
import type { Environment } from '../environment.js';
import { isMissingFile } from '../errors.js';
import { instanceJson, parseServiceInfo, type NacosServiceInfo } from './model.js';
import type { NacosClientSettings } from '../options.js';

/** Last known services on disk, one JSON file each, where the other SDKs keep theirs. */
export class NamingCache {
  private readonly folder: string;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    settings: Pick<NacosClientSettings, 'cacheDirectory' | 'namespaces'>,
    private readonly env: Environment,
  ) {
    this.folder = join(settings.cacheDirectory, 'naming', settings.namespaces.naming);
  }

  /** What was last kept, or undefined; a damaged file counts as none. */
  async read(service: string, group: string): Promise<NacosServiceInfo | undefined> {
    let content: string;
    try {
      content = await readFile(this.path(service, group), 'utf8');
    } catch (error) {
      if (isMissingFile(error)) return undefined;
      throw error;
    }
    try {
      const info = parseServiceInfo(JSON.parse(content), () => {});
      // Written by another run: its clock says nothing about the next list.
      return info === undefined ? undefined : Object.freeze({ ...info, lastRefTime: 0 });
    } catch (error) {
      this.env.logger.warn(`${this.env.backend}: the naming cache of ${service} is damaged: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** Keeps a list, in the background. */
  keep(info: NacosServiceInfo): void {
    const { name, groupName } = info;
    const content = JSON.stringify({
      ...info,
      hosts: info.hosts.map((host) => instanceJson(host)),
    });
    this.writing = this.writing
      .then(async () => {
        await mkdir(this.folder, { recursive: true, mode: 0o700 });
        await writeFileAtomically(this.path(name, groupName), content);
      })
      .catch((error: unknown) => {
        this.env.logger.warn(`${this.env.backend}: ${name} could not be kept on disk: ${messageOf(error)}`);
      });
  }

  /** Names were checked: they hold no slash, and the two at signs keep them from being `..`. */
  private path(service: string, group: string): string {
    return join(this.folder, `${group}@@${service}`);
  }
}
