
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "project/ngx_comms_project.h"
#include "base/ngx_comms_crypto.h"

#include <sys/stat.h>


#define UNIT_HASH                                                             \
    "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873"

#define UNIT_EMAIL                                                            \
    "\"email\": {\"company_email\": \"Care@Acme.example\","                   \
    " \"provider\": \"mails\", \"credentials_id\": \"sendgrid-acme\"}"


static const char  unit_secrets[] =
    "{\n"
    "\"twilio-acme\": {\"provider\": \"twilio\","
    " \"account_sid\": \"AC0123456789abcdef0123456789abcdef\","
    " \"auth_token\": \"0123456789abcdef0123456789abcdef\"},\n"
    "\"sendgrid-acme\": {\"provider\": \"sendgrid\","
    " \"api_key\": \"SG.key\","
    " \"inbound_tokens\": [\"0123456789abcdef\"],"
    " \"reply_keys\": [\"0123456789abcdef\"]},\n"
    "\"openai-main\": {\"provider\": \"openai\", \"api_key\": \"sk-1\"}\n"
    "}\n";


static char         unit_dir[PATH_MAX];
static char         unit_said[65536];
static ngx_log_t    unit_capture;
static ngx_conf_t   unit_conf;
static ngx_cycle_t  unit_conf_cycle;


static char *
unit_path(const char *name)
{
    static char  path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", unit_dir, name);

    return path;
}


static void
unit_write(const char *name, const char *text, mode_t mode)
{
    FILE  *f;

    f = fopen(unit_path(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(unit_path(name), mode), 0);
}


/* a whole project with one or two members put in another form */

static void
unit_project(const char *file, const char *company, const char *project,
    const char *more, const char *channel)
{
    char  text[8192];

    snprintf(text, sizeof(text),
             "{\n"
             "\"company_id\": \"%s\",\n"
             "\"project_id\": \"%s\",\n"
             "\"company_name\": \"Acme\",\n"
             "\"project_name\": \"Care\",\n"
             "\"api_key_sha256\": [\"" UNIT_HASH "\"],\n"
             "\"project_status\": \"active\",\n"
             "%s\n"
             "\"ai_config\": {\"provider\": \"openai\", \"model\": \"m\",\n"
             "  \"instructions_first\": \"a\\nb\","
             "  \"instructions_reply\": \"c\",\n"
             "  \"api_key_reference\": \"openai-main\"},\n"
             "\"channel_config\": {\n"
             "  \"sms\": {\"company_sms_number\": \"+441632960002\",\n"
             "    \"provider\": \"twilio\",\n"
             "    \"credentials_id\": \"twilio-acme\"}\n"
             "  %s\n"
             "}}\n",
             company, project, more, channel);

    unit_write(file, text, 0644);
}


static void
unit_clean(void)
{
    int  i;

    static const char  *files[] = { "projects/a.json", "projects/b.json",
                                    "projects/c.json", "projects/.d.json",
                                    "projects/note.txt", "secrets.json" };

    for (i = 0; i < (int) (sizeof(files) / sizeof(files[0])); i++) {
        (void) unlink(unit_path(files[i]));
    }

    assert_int_equal(truncate(unit_path("log"), 0), 0);
}


static int
unit_files_setup(void **state)
{
    static ngx_open_file_t  file;

    if (unit_pool_setup(state) != 0) {
        return -1;
    }

    if (unit_dir[0] == '\0') {
        snprintf(unit_dir, sizeof(unit_dir), "/tmp/comms-unit.XXXXXX");

        if (mkdtemp(unit_dir) == NULL || mkdir(unit_path("projects"), 0755)) {
            return -1;
        }

        file.fd = open(unit_path("log"), O_CREAT|O_WRONLY|O_APPEND, 0600);
        unit_capture.file = &file;
        unit_capture.log_level = NGX_LOG_DEBUG;
    }

    unit_clean();
    unit_write("secrets.json", unit_secrets, 0600);

    ngx_use_stderr = 0;

    ngx_memzero(&unit_conf, sizeof(ngx_conf_t));

    unit_conf_cycle.pool = *state;
    unit_conf_cycle.log = &unit_capture;
    unit_conf_cycle.conf_prefix = unit_str("/nonexistent/");
    unit_conf_cycle.prefix = unit_str("/nonexistent/");

    unit_conf.cycle = &unit_conf_cycle;
    unit_conf.pool = *state;
    unit_conf.temp_pool = *state;
    unit_conf.log = &unit_capture;

    return 0;
}


static int
unit_end(void **state)
{
    unit_clean();

    (void) unlink(unit_path("log"));
    (void) rmdir(unit_path("projects"));
    (void) rmdir(unit_dir);

    return 0;
}


static ngx_comms_secrets_t *
unit_load_secrets(void)
{
    ngx_str_t  path;

    path = unit_str(unit_path("secrets.json"));

    return ngx_comms_secrets_files(&unit_conf, &path);
}


static ngx_comms_projects_t *
unit_load(void)
{
    ngx_str_t             path;
    ngx_comms_secrets_t  *secrets;

    secrets = unit_load_secrets();
    assert_non_null(secrets);

    path = unit_str(unit_path("projects"));

    return ngx_comms_projects_files(&unit_conf, &path, secrets);
}


static ngx_uint_t
unit_logged(const char *words)
{
    FILE    *f;
    size_t   n;

    f = fopen(unit_path("log"), "r");
    assert_non_null(f);

    n = fread(unit_said, 1, sizeof(unit_said) - 1, f);
    unit_said[n] = '\0';
    fclose(f);

    return strstr(unit_said, words) != NULL;
}


#define assert_logged(words)                                                  \
    if (!unit_logged(words)) {                                                \
        print_error("not logged: %s\n%s\n", words, unit_said);                \
        fail();                                                               \
    }


static void
test_load(void **state)
{
    ngx_str_t              company, project, address;
    ngx_comms_project_t   *p;
    ngx_comms_projects_t  *projects;

    unit_project("projects/b.json", "acme", "care",
                 "\"allowed_channels\": [\"email\", \"sms\"],"
                 "\"rate_limits\": {\"requests_per_minute\": 60},",
                 "," UNIT_EMAIL);
    unit_project("projects/a.json", "beta", "x",
                 "\"allowed_channels\": [\"sms\"],", "");
    unit_write("projects/note.txt", "not JSON", 0644);
    unit_write("projects/.d.json", "not JSON", 0644);

    projects = unit_load();
    assert_non_null(projects);

    company = unit_str("acme");
    project = unit_str("care");

    assert_int_equal(projects->find(projects, &company, &project, &p, NULL),
                     NGX_OK);
    assert_text(p->company_id, "acme");
    assert_text(p->project_id, "care");
    assert_int_equal(p->active, 1);
    assert_int_equal(p->channels,
                     1 << NGX_COMMS_EMAIL | 1 << NGX_COMMS_SMS);
    assert_int_equal(p->requests_per_minute, 60);
    assert_int_equal(p->requests_per_day, 0);

    assert_int_equal(ngx_comms_project_address(*state, p, NGX_COMMS_SMS,
                                               &address),
                     NGX_OK);
    assert_text(address, "tel:+441632960002");
    assert_int_equal(ngx_comms_project_address(*state, p, NGX_COMMS_EMAIL,
                                               &address),
                     NGX_OK);
    assert_text(address, "mailto:care@acme.example");
    assert_int_equal(ngx_comms_project_address(*state, p, NGX_COMMS_WHATSAPP,
                                               &address),
                     NGX_DECLINED);
    assert_null(ngx_comms_project_channel(p, NGX_COMMS_CHANNELS));

    project = unit_str("x");
    assert_int_equal(projects->find(projects, &company, &project, &p, NULL),
                     NGX_DECLINED);

    project.len = 1000000;
    assert_int_equal(projects->find(projects, &company, &project, &p, NULL),
                     NGX_DECLINED);
}


static void
test_keys(void **state)
{
    ngx_str_t              company, project, key, *names;
    ngx_array_t           *companies;
    ngx_comms_project_t   *p;
    ngx_comms_projects_t  *projects;

    unit_project("projects/a.json", "acme", "care",
                 "\"allowed_channels\": [\"sms\"],", "");
    unit_project("projects/b.json", "acme", "more",
                 "\"allowed_channels\": [\"sms\"],", "");
    unit_project("projects/c.json", "beta", "care",
                 "\"allowed_channels\": [\"sms\"],", "");

    projects = unit_load();
    assert_non_null(projects);

    company = unit_str("acme");
    project = unit_str("care");
    key = unit_str("demo-key-acme");

    assert_int_equal(projects->find(projects, &company, &project, &p, NULL),
                     NGX_OK);
    assert_int_equal(ngx_comms_project_key(p, &key), 1);
    assert_int_equal(projects->opens(projects, &company, &key, NULL), NGX_OK);

    assert_int_equal(projects->companies(projects, &key, *state, &companies,
                                         NULL),
                     NGX_OK);
    assert_int_equal(companies->nelts, 2);
    names = companies->elts;
    assert_text(names[0], "acme");
    assert_text(names[1], "beta");

    company = unit_str("nobody");
    assert_int_equal(projects->opens(projects, &company, &key, NULL),
                     NGX_DECLINED);

    company = unit_str("acme");
    key = unit_str("wrong");
    assert_int_equal(ngx_comms_project_key(p, &key), 0);
    assert_int_equal(projects->opens(projects, &company, &key, NULL),
                     NGX_DECLINED);
    assert_int_equal(projects->companies(projects, &key, *state, &companies,
                                         NULL),
                     NGX_OK);
    assert_int_equal(companies->nelts, 0);
}


/* all mistakes of all files, each with its line */

static void
test_mistakes(void **state)
{
    unit_project("projects/a.json", "ac#me", "care",
                 "\"allowed_channels\": [\"sms\", \"sms\", \"fax\","
                 " \"whatsapp\"],\n"
                 "\"rate_limits\": {\n"
                 "  \"requests_per_minute\": 0,\n"
                 "  \"requests_per_hour\": 1},\n"
                 "\"company_rep\": {\"title\": \"x\"},",
                 "");
    unit_project("projects/b.json", "acme", "care",
                 "\"allowed_channels\": \"sms\",\n\"extra\": 1,",
                 ", \"email\": {\"company_email\": \"secret-address\","
                 " \"provider\": \"mails\","
                 " \"credentials_id\": \"twilio-acme\"},"
                 " \"whatsapp\": {\"company_whatsapp_number\": \"+44999\","
                 " \"provider\": \"twilio\", \"credentials_id\": \"nobody\","
                 " \"whatsapp_template_variables\": {\"1\": \"weather\"}}");
    unit_write("projects/c.json", "{\n  \"company_id\": \"acme\"\n  \"x\"}",
               0644);

    assert_null(unit_load());

    assert_logged("a.json\" line 2: field \"company_id\" is \"ac#me\","
                  " must be 1 to 64 letters");
    assert_logged("a.json\" line 8: field \"allowed_channels\" is an array,"
                  " must be");
    assert_logged("a.json\" line 10: field \"rate_limits.requests_per_minute"
                  "\" is \"0\", must be an integer between 1 and 1000000");
    assert_logged("a.json\" line 11: field \"rate_limits.requests_per_hour\""
                  " is unknown; allowed are \"requests_per_minute\",");
    assert_logged("a.json\" line 12: field \"company_rep.name\" is missing");
    assert_logged("b.json\" line 8: field \"allowed_channels\" is \"sms\"");
    assert_logged("b.json\" line 9: field \"extra\" is unknown");
    assert_logged("field \"channel_config.email.company_email\" is not valid"
                  ", must be an email address");
    assert_logged("field \"channel_config.email.credentials_id\" is"
                  " \"twilio-acme\", must be the id of credentials for a"
                  " provider that carries this channel");
    assert_logged("field \"channel_config.whatsapp.credentials_id\" is"
                  " \"nobody\", must be the id of credentials in the");
    assert_logged("field \"channel_config.whatsapp.whatsapp_template_"
                  "variables.1\" is \"weather\"");
    assert_logged("is useless without \"whatsapp_template_sid\"");
    assert_logged("c.json\" line 3 column");

    assert_false(unit_logged("secret-address"));
    assert_false(unit_logged("+44999"));
    assert_false(unit_logged(UNIT_HASH));
}


static void
test_list_mistakes(void **state)
{
    unit_project("projects/a.json", "acme", "care",
                 "\"allowed_channels\": [\n\"sms\",\n\"sms\",\n\"email\"],",
                 "");

    assert_null(unit_load());

    assert_logged("line 10: field \"allowed_channels[1]\" is \"sms\","
                  " must be listed only once");
    assert_logged("line 11: field \"allowed_channels[2]\" is \"email\","
                  " must be a member of \"channel_config\"");
}


static void
test_twice(void **state)
{
    unit_project("projects/a.json", "acme", "care",
                 "\"allowed_channels\": [\"sms\"],", "");
    unit_project("projects/b.json", "acme", "care",
                 "\"allowed_channels\": [\"sms\"],", "");

    assert_null(unit_load());
    assert_logged("projects/b.json\" has project \"care\" of company"
                  " \"acme\", which \"");
    assert_logged("projects/a.json\" has already");
}


static void
test_no_files(void **state)
{
    ngx_str_t             path;
    ngx_comms_secrets_t  *secrets;

    assert_null(unit_load());
    assert_logged("no \"*.json\" files in \"");

    secrets = unit_load_secrets();
    path = unit_str("/nonexistent/projects");
    assert_null(ngx_comms_projects_files(&unit_conf, &path, secrets));
    assert_logged("opendir() \"/nonexistent/projects\" failed (2");
}


static void
test_too_large(void **state)
{
    char  *text;

    text = malloc(1100000);
    ngx_memset(text, ' ', 1099999);
    text[1099999] = '\0';

    unit_write("projects/a.json", text, 0644);
    free(text);

    assert_null(unit_load());
    assert_logged("has 1099999 bytes, must have at most 1048576");
}


static void
test_secrets(void **state)
{
    json_t                   *credentials;
    ngx_str_t                 id, provider;
    ngx_array_t              *list;
    ngx_comms_secrets_t      *secrets;
    ngx_comms_credentials_t  *entry;

    secrets = unit_load_secrets();
    assert_non_null(secrets);

    id = unit_str("openai-main");
    assert_int_equal(secrets->get(secrets, &id, &credentials, NULL), NGX_OK);
    assert_string_equal(json_string_value(json_object_get(credentials,
                                                          "api_key")),
                        "sk-1");

    id = unit_str("openai-mai");
    assert_int_equal(secrets->get(secrets, &id, &credentials, NULL),
                     NGX_DECLINED);

    provider = unit_str("twilio");
    assert_int_equal(secrets->of_provider(secrets, &provider, *state, &list,
                                          NULL),
                     NGX_OK);
    assert_int_equal(list->nelts, 1);
    entry = list->elts;
    assert_text(entry[0].id, "twilio-acme");
}


static void
test_secrets_mode(void **state)
{
    unit_write("secrets.json", unit_secrets, 0640);

    assert_null(unit_load_secrets());
    assert_logged("secrets.json\" has mode 0640, must be 0600");
}


static void
test_secrets_mistakes(void **state)
{
    unit_write("secrets.json",
               "{\n\"one\": {\"provider\": \"openai\"},\n"
               "\"two\": {\"provider\": \"pigeon-hush\"},\n"
               "\"three\": {\"provider\": \"openai\","
               " \"api_key\": \"hush hush\"},\n"
               "\"four\": \"hush\",\n"
               "\"five\": {\"provider\": \"openai\", \"api_key\": \"x\","
               " \"key\": \"hush\"}}",
               0600);

    assert_null(unit_load_secrets());
    assert_logged("line 2: field \"one.api_key\" must be a string");
    assert_logged("line 3: field \"two.provider\" is not valid, must be the"
                  " name of a known protocol");
    assert_logged("line 4: field \"three.api_key\" must be a string");
    assert_logged("line 5: field \"four\" is not valid, must be an object");
    assert_logged("line 6: field \"five.key\" is unknown");
    assert_false(unit_logged("hush"));

    unit_write("secrets.json", "{\"a\": \"hush\" \"hush\"}", 0600);
    assert_null(unit_load_secrets());
    assert_logged("line 1 column");
    assert_logged(": invalid JSON");
    assert_false(unit_logged("hush"));
}


static ngx_int_t
unit_protocol_of(void *data, ngx_str_t *name, ngx_str_t *protocol)
{
    if (ngx_strncmp(name->data, "twilio", name->len) == 0) {
        *protocol = unit_str(data);
        return NGX_OK;
    }

    if (ngx_strncmp(name->data, "openai", name->len) == 0) {
        *protocol = unit_str("openai");
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static void
test_provider_locations(void **state)
{
    ngx_comms_projects_t  *projects;

    unit_project("projects/a.json", "acme", "care",
                 "\"allowed_channels\": [\"sms\"],", "");
    projects = unit_load();
    assert_non_null(projects);

    assert_int_equal(ngx_comms_projects_check(&unit_conf, projects,
                                              unit_protocol_of, "twilio"),
                     NGX_OK);
    assert_int_equal(ngx_comms_projects_check(&unit_conf, projects,
                                              unit_protocol_of, "sendgrid"),
                     NGX_ERROR);
    assert_logged("line 14: field \"channel_config.sms.provider\" is"
                  " \"twilio\", must be the name of a \"comms_provider\"");
}


/* what is shipped as an example loads as it is */

static void
test_examples(void **state)
{
    char                   text[8192];
    FILE                  *f;
    size_t                 n;
    ngx_str_t              path, company, project, key;
    ngx_comms_secrets_t   *secrets;
    ngx_comms_project_t   *p;
    ngx_comms_projects_t  *projects;

    f = fopen("conf/secrets.example.json", "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);

    unit_write("secrets.json", text, 0600);
    secrets = unit_load_secrets();
    assert_non_null(secrets);

    assert_non_null(realpath("conf/projects", text));
    path = unit_str(text);
    projects = ngx_comms_projects_files(&unit_conf, &path, secrets);
    assert_non_null(projects);

    company = unit_str("acme");
    project = unit_str("care");
    key = unit_str("demo-key-acme");

    assert_int_equal(projects->find(projects, &company, &project, &p, NULL),
                     NGX_OK);
    assert_int_equal(p->channels, (1 << NGX_COMMS_CHANNELS) - 1);
    assert_int_equal(projects->opens(projects, &company, &key, NULL), NGX_OK);
}


int
main(void)
{
#define files_test(name)                                                      \
    cmocka_unit_test_setup_teardown(name, unit_files_setup,                   \
                                    unit_pool_teardown)

    static const struct CMUnitTest  tests[] = {
        files_test(test_load),
        files_test(test_keys),
        files_test(test_mistakes),
        files_test(test_list_mistakes),
        files_test(test_twice),
        files_test(test_no_files),
        files_test(test_too_large),
        files_test(test_secrets),
        files_test(test_secrets_mode),
        files_test(test_secrets_mistakes),
        files_test(test_provider_locations),
        files_test(test_examples)
    };

    return cmocka_run_group_tests(tests, unit_setup, unit_end);
}
