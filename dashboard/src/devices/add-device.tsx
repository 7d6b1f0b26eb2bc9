/** Adding a device: its name and tags; then its token, shown once, and a program to start from. */
import { useState } from 'preact/hooks';
import { catalog } from '../hub/catalog.ts';
import { post } from '../hub/client.http.ts';
import { gatewayTrust, gatewayUrl } from '../hub/gateway.ts';
import { Dialog, FormEnd, showUntilKept } from '../kit/dialog.tsx';
import { TextField } from '../kit/fields.tsx';
import { deviceIdFrom, readAll } from '../kit/form-values.ts';
import { Choice, Copyable } from '../kit/parts.tsx';
import { useForm } from '../kit/use-form.ts';
import { linkTo } from '../router.ts';
import { sampleOf } from './sample.ts';
import { LANGUAGES, type Language, snippetOf } from './snippets.ts';
import { tagsFromText } from './tag-text.ts';

/** First the form, then what was made. */
export function AddDevice({ onClose, onAdded }: { onClose(): void; onAdded(): void }) {
  const onMade = (device: { id: string; token: string }) => {
    onClose();
    showToken(`${device.id} was added`, device);
    onAdded();
  };
  return (
    <Dialog title="Add a device" onClose={onClose}>
      <AddForm onMade={onMade} onCancel={onClose} />
    </Dialog>
  );
}

function AddForm({ onMade, onCancel }: { onMade(device: { id: string; token: string }): void; onCancel(): void }) {
  const [id, setId] = useState('');
  const [description, setDescription] = useState('');
  const [tags, setTags] = useState('');
  const form = useForm(['/id', '/description', '/tags'], async () => {
    const device = readAll({
      id: () => deviceIdFrom(id),
      description: () => description,
      tags: () => tagsFromText(tags),
    });
    onMade(await post('/v1/devices', device));
  });
  return (
    <form class="fields" onSubmit={form.submit} noValidate>
      <TextField
        label="Id"
        value={id}
        onText={setId}
        hint="How it is called for ever; letters, digits, and . _ : - after the first."
        mistake={form.mistakeAt('/id')}
        input={{ required: true, maxLength: 64, autocomplete: 'off', spellcheck: false, placeholder: 'meter-7' }}
      />
      <TextField
        label="Description (optional)"
        value={description}
        onText={setDescription}
        mistake={form.mistakeAt('/description')}
      />
      <TextField
        label="Tags (optional)"
        value={tags}
        onText={setTags}
        hint="name=value, several with commas between."
        mistake={form.mistakeAt('/tags')}
        input={{ placeholder: 'floor=1, building=north', spellcheck: false }}
      />
      <FormEnd form={form} yes="Add" onCancel={onCancel} />
    </form>
  );
}

/** Shows the token of a device, and programs that use it. */
export function showToken(title: string, { id, token }: { id: string; token: string }): void {
  const goOn = { title: 'Kept: go to the device', address: linkTo(['devices', id]) };
  showUntilKept({ title, token, wide: true, goOn, more: <Programs token={token} /> });
}

function Programs({ token }: { token: string }) {
  const [language, setLanguage] = useState<Language>('python');
  return (
    <>
      <Choice label="Language" options={LANGUAGES} value={language} onPick={(next) => setLanguage(next)} />
      <Copyable
        text={snippetOf(language, {
          url: gatewayUrl(),
          trust: gatewayTrust(),
          token,
          ...sampleOf(catalog.value.streams[0]),
        })}
        label="the program"
      />
    </>
  );
}
