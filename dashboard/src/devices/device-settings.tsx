/** What can be changed about a device: its words, its tokens, whether it may connect, whether it is there at all. */
import { useState } from 'preact/hooks';
import { patch, path, post, remove } from '../hub/client.http.ts';
import { type DeviceToken, type DeviceWithLast, deviceUrl } from '../hub/devices.ts';
import { may } from '../hub/session.ts';
import { confirmed } from '../kit/dialog.tsx';
import { TextField } from '../kit/fields.tsx';
import { ifWritten, millisecondsFrom, readAll } from '../kit/form-values.ts';
import { span } from '../kit/format.ts';
import { Icon } from '../kit/icons.tsx';
import { Act, Card, Facts, Trouble } from '../kit/parts.tsx';
import { Ago, Moment } from '../kit/time.tsx';
import { say } from '../kit/toast.tsx';
import { useForm } from '../kit/use-form.ts';
import { goTo } from '../router.ts';
import { showToken } from './add-device.tsx';
import type { DevicePartProps } from './device-page.tsx';
import { Tags } from './device-parts.tsx';
import { QUIET_MS, tagsFromText, tagsToText } from './tag-text.ts';

/** A viewer sees, an operator changes. */
export function DeviceSettings({ device, reload }: DevicePartProps) {
  return (
    <div class="columns">
      <Card title="Details">
        {may('operator') ? <Details device={device} reload={reload} /> : <Known device={device} />}
      </Card>
      <div class="stack">
        <Tokens device={device} reload={reload} />
        {may('operator') && <Danger device={device} reload={reload} />}
      </div>
    </div>
  );
}

function Known({ device: { id, description, tags, createdAt, expectedIntervalMs } }: { device: DeviceWithLast }) {
  return (
    <Facts
      facts={[
        ['Id', id],
        ['Description', description || '–'],
        ['Tags', <Tags key="t" tags={tags} />],
        ['Added', <Moment key="c" at={createdAt} />],
        ['Silent after', expectedIntervalMs === undefined ? 'learnt from its readings' : span(expectedIntervalMs)],
      ]}
    />
  );
}

function Details({ device, reload }: DevicePartProps) {
  const [description, setDescription] = useState(device.description);
  const [tags, setTags] = useState(tagsToText(device.tags));
  const { expectedIntervalMs } = device;
  const [seconds, setSeconds] = useState(expectedIntervalMs === undefined ? '' : String(expectedIntervalMs / 1_000));
  const form = useForm(['/description', '/tags', '/expectedIntervalMs'], async () => {
    const details = readAll({
      description: () => description,
      tags: () => tagsFromText(tags),
      expectedIntervalMs: () => ifWritten(seconds, (text) => millisecondsFrom(text, QUIET_MS)) ?? null,
    });
    await patch(deviceUrl(device.id), details);
    say('Saved.');
    reload();
  });
  return (
    <form class="fields" onSubmit={form.submit} noValidate>
      <TextField
        label="Description"
        value={description}
        onText={setDescription}
        mistake={form.mistakeAt('/description')}
      />
      <TextField
        label="Tags"
        value={tags}
        onText={setTags}
        hint="name=value, several with commas between."
        mistake={form.mistakeAt('/tags')}
      />
      <TextField
        label="Silent after"
        value={seconds}
        onText={setSeconds}
        unit="s"
        hint="Without a reading for so long it counts as silent. Empty: learnt from its readings."
        mistake={form.mistakeAt('/expectedIntervalMs')}
        input={{ inputMode: 'decimal' }}
      />
      {form.error && <Trouble error={form.error} />}
      <footer>
        <small class="soft">
          Added <Moment at={device.createdAt} />
        </small>
        <button type="submit" class="primary" disabled={form.busy}>
          Save
        </button>
      </footer>
    </form>
  );
}

function Tokens({ device, reload }: DevicePartProps) {
  const { id, tokens } = device;
  const rotate = async () => {
    const { token, pushed } = await post<{ token: string; pushed: boolean }>(path`/v1/devices/${id}/tokens`);
    showToken(pushed ? 'The next token; the device has it already' : 'The next token', { id, token });
    reload();
  };
  return (
    <Card
      title="Tokens"
      actions={
        may('operator') && (
          <Act act={rotate}>
            <Icon name="key" /> Rotate
          </Act>
        )
      }
    >
      {tokens.length === 0 && <p class="soft">It has no valid token, so it cannot connect. Rotating makes one.</p>}
      <ul class="lines">
        {tokens.map((token) => (
          <TokenLine key={token.keyId} device={id} token={token} reload={reload} />
        ))}
      </ul>
      <p class="soft">
        Rotating makes the next token and sends it to the device when it is connected; the one in use ends when the next
        is first used, or after a week.
      </p>
    </Card>
  );
}

function TokenLine({ device, token, reload }: { device: string; token: DeviceToken; reload(): void }) {
  const { keyId, createdAt, expiresAt } = token;
  const revoke = async () => {
    const text = 'The connection that came in with it is closed at once, and it never opens one again.';
    if (!(await confirmed({ title: `Revoke ${keyId}?`, text, yes: 'Revoke', danger: true }))) return;
    await remove(path`/v1/devices/${device}/tokens/${keyId}`);
    say('Revoked.');
    reload();
  };
  return (
    <li>
      <span>
        <code>{keyId}</code>{' '}
        <small>
          made <Ago at={createdAt} />
          {expiresAt !== undefined && (
            <>
              , expires <Ago at={expiresAt} />
            </>
          )}
        </small>
      </span>
      {may('operator') && (
        <Act act={revoke} kind="danger">
          Revoke
        </Act>
      )}
    </li>
  );
}

function Danger({ device: { id, enabled }, reload }: DevicePartProps) {
  const toggle = async () => {
    const text = 'Its connection is closed and it cannot come back until it is enabled again.';
    if (enabled && !(await confirmed({ title: `Disable ${id}?`, text, yes: 'Disable', danger: true }))) return;
    await patch(deviceUrl(id), { enabled: !enabled });
    say(enabled ? 'Disabled.' : 'Enabled.');
    reload();
  };
  const removeIt = async () => {
    const text = 'Its tokens die and its connection is closed. Its readings stay.';
    if (!(await confirmed({ title: `Remove ${id}?`, text, yes: 'Remove', danger: true }))) return;
    await remove(deviceUrl(id));
    say(`${id} was removed.`);
    goTo('#/devices');
  };
  return (
    <Card title="Access">
      <div class="actions">
        <Act act={toggle}>
          <Icon name={enabled ? 'pause' : 'play'} /> {enabled ? 'Disable' : 'Enable'}
        </Act>
        <Act act={removeIt} kind="danger">
          <Icon name="trash" /> Remove
        </Act>
      </div>
    </Card>
  );
}
