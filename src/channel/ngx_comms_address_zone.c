
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The clock by which a phone number's owner most likely lives.
 *
 * Country codes: ITU-T E.164, list of assigned codes.  Zones: zone.tab of the
 * tz database, where it names one for the country.  Germany and Malaysia are
 * here with the first of their two, which have shown the same time since 1970
 * and 1982.  Not here: countries of several zones (+1, +7, +34, +52, +55,
 * +61, +62, +64, +86, ...), and codes that several countries share in several
 * zones (+262).
 *
 * No code of the list begins with another, as E.164 has it; so the order does
 * not matter.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_address.h>


typedef struct {
    ngx_str_t   code;
    ngx_str_t   zone;
} ngx_comms_address_zone_t;


static ngx_comms_address_zone_t  ngx_comms_address_zones[] = {
    { ngx_string("20"), ngx_string("Africa/Cairo") },
    { ngx_string("211"), ngx_string("Africa/Juba") },
    { ngx_string("212"), ngx_string("Africa/Casablanca") },
    { ngx_string("213"), ngx_string("Africa/Algiers") },
    { ngx_string("216"), ngx_string("Africa/Tunis") },
    { ngx_string("218"), ngx_string("Africa/Tripoli") },
    { ngx_string("220"), ngx_string("Africa/Banjul") },
    { ngx_string("221"), ngx_string("Africa/Dakar") },
    { ngx_string("222"), ngx_string("Africa/Nouakchott") },
    { ngx_string("223"), ngx_string("Africa/Bamako") },
    { ngx_string("224"), ngx_string("Africa/Conakry") },
    { ngx_string("225"), ngx_string("Africa/Abidjan") },
    { ngx_string("226"), ngx_string("Africa/Ouagadougou") },
    { ngx_string("227"), ngx_string("Africa/Niamey") },
    { ngx_string("228"), ngx_string("Africa/Lome") },
    { ngx_string("229"), ngx_string("Africa/Porto-Novo") },
    { ngx_string("230"), ngx_string("Indian/Mauritius") },
    { ngx_string("231"), ngx_string("Africa/Monrovia") },
    { ngx_string("232"), ngx_string("Africa/Freetown") },
    { ngx_string("233"), ngx_string("Africa/Accra") },
    { ngx_string("234"), ngx_string("Africa/Lagos") },
    { ngx_string("235"), ngx_string("Africa/Ndjamena") },
    { ngx_string("236"), ngx_string("Africa/Bangui") },
    { ngx_string("237"), ngx_string("Africa/Douala") },
    { ngx_string("238"), ngx_string("Atlantic/Cape_Verde") },
    { ngx_string("239"), ngx_string("Africa/Sao_Tome") },
    { ngx_string("240"), ngx_string("Africa/Malabo") },
    { ngx_string("241"), ngx_string("Africa/Libreville") },
    { ngx_string("242"), ngx_string("Africa/Brazzaville") },
    { ngx_string("244"), ngx_string("Africa/Luanda") },
    { ngx_string("245"), ngx_string("Africa/Bissau") },
    { ngx_string("248"), ngx_string("Indian/Mahe") },
    { ngx_string("249"), ngx_string("Africa/Khartoum") },
    { ngx_string("250"), ngx_string("Africa/Kigali") },
    { ngx_string("251"), ngx_string("Africa/Addis_Ababa") },
    { ngx_string("252"), ngx_string("Africa/Mogadishu") },
    { ngx_string("253"), ngx_string("Africa/Djibouti") },
    { ngx_string("254"), ngx_string("Africa/Nairobi") },
    { ngx_string("255"), ngx_string("Africa/Dar_es_Salaam") },
    { ngx_string("256"), ngx_string("Africa/Kampala") },
    { ngx_string("257"), ngx_string("Africa/Bujumbura") },
    { ngx_string("258"), ngx_string("Africa/Maputo") },
    { ngx_string("260"), ngx_string("Africa/Lusaka") },
    { ngx_string("261"), ngx_string("Indian/Antananarivo") },
    { ngx_string("263"), ngx_string("Africa/Harare") },
    { ngx_string("264"), ngx_string("Africa/Windhoek") },
    { ngx_string("265"), ngx_string("Africa/Blantyre") },
    { ngx_string("266"), ngx_string("Africa/Maseru") },
    { ngx_string("267"), ngx_string("Africa/Gaborone") },
    { ngx_string("268"), ngx_string("Africa/Mbabane") },
    { ngx_string("269"), ngx_string("Indian/Comoro") },
    { ngx_string("27"), ngx_string("Africa/Johannesburg") },
    { ngx_string("291"), ngx_string("Africa/Asmara") },
    { ngx_string("297"), ngx_string("America/Aruba") },
    { ngx_string("298"), ngx_string("Atlantic/Faroe") },
    { ngx_string("30"), ngx_string("Europe/Athens") },
    { ngx_string("31"), ngx_string("Europe/Amsterdam") },
    { ngx_string("32"), ngx_string("Europe/Brussels") },
    { ngx_string("33"), ngx_string("Europe/Paris") },
    { ngx_string("350"), ngx_string("Europe/Gibraltar") },
    { ngx_string("352"), ngx_string("Europe/Luxembourg") },
    { ngx_string("353"), ngx_string("Europe/Dublin") },
    { ngx_string("354"), ngx_string("Atlantic/Reykjavik") },
    { ngx_string("355"), ngx_string("Europe/Tirane") },
    { ngx_string("356"), ngx_string("Europe/Malta") },
    { ngx_string("358"), ngx_string("Europe/Helsinki") },
    { ngx_string("359"), ngx_string("Europe/Sofia") },
    { ngx_string("36"), ngx_string("Europe/Budapest") },
    { ngx_string("370"), ngx_string("Europe/Vilnius") },
    { ngx_string("371"), ngx_string("Europe/Riga") },
    { ngx_string("372"), ngx_string("Europe/Tallinn") },
    { ngx_string("373"), ngx_string("Europe/Chisinau") },
    { ngx_string("374"), ngx_string("Asia/Yerevan") },
    { ngx_string("375"), ngx_string("Europe/Minsk") },
    { ngx_string("376"), ngx_string("Europe/Andorra") },
    { ngx_string("377"), ngx_string("Europe/Monaco") },
    { ngx_string("378"), ngx_string("Europe/San_Marino") },
    { ngx_string("381"), ngx_string("Europe/Belgrade") },
    { ngx_string("382"), ngx_string("Europe/Podgorica") },
    { ngx_string("385"), ngx_string("Europe/Zagreb") },
    { ngx_string("386"), ngx_string("Europe/Ljubljana") },
    { ngx_string("387"), ngx_string("Europe/Sarajevo") },
    { ngx_string("389"), ngx_string("Europe/Skopje") },
    { ngx_string("39"), ngx_string("Europe/Rome") },
    { ngx_string("40"), ngx_string("Europe/Bucharest") },
    { ngx_string("41"), ngx_string("Europe/Zurich") },
    { ngx_string("420"), ngx_string("Europe/Prague") },
    { ngx_string("421"), ngx_string("Europe/Bratislava") },
    { ngx_string("423"), ngx_string("Europe/Vaduz") },
    { ngx_string("43"), ngx_string("Europe/Vienna") },
    { ngx_string("44"), ngx_string("Europe/London") },
    { ngx_string("45"), ngx_string("Europe/Copenhagen") },
    { ngx_string("46"), ngx_string("Europe/Stockholm") },
    { ngx_string("47"), ngx_string("Europe/Oslo") },
    { ngx_string("48"), ngx_string("Europe/Warsaw") },
    { ngx_string("49"), ngx_string("Europe/Berlin") },
    { ngx_string("500"), ngx_string("Atlantic/Stanley") },
    { ngx_string("501"), ngx_string("America/Belize") },
    { ngx_string("502"), ngx_string("America/Guatemala") },
    { ngx_string("503"), ngx_string("America/El_Salvador") },
    { ngx_string("504"), ngx_string("America/Tegucigalpa") },
    { ngx_string("505"), ngx_string("America/Managua") },
    { ngx_string("506"), ngx_string("America/Costa_Rica") },
    { ngx_string("507"), ngx_string("America/Panama") },
    { ngx_string("508"), ngx_string("America/Miquelon") },
    { ngx_string("509"), ngx_string("America/Port-au-Prince") },
    { ngx_string("51"), ngx_string("America/Lima") },
    { ngx_string("53"), ngx_string("America/Havana") },
    { ngx_string("57"), ngx_string("America/Bogota") },
    { ngx_string("58"), ngx_string("America/Caracas") },
    { ngx_string("590"), ngx_string("America/Guadeloupe") },
    { ngx_string("591"), ngx_string("America/La_Paz") },
    { ngx_string("592"), ngx_string("America/Guyana") },
    { ngx_string("594"), ngx_string("America/Cayenne") },
    { ngx_string("595"), ngx_string("America/Asuncion") },
    { ngx_string("596"), ngx_string("America/Martinique") },
    { ngx_string("597"), ngx_string("America/Paramaribo") },
    { ngx_string("598"), ngx_string("America/Montevideo") },
    { ngx_string("599"), ngx_string("America/Curacao") },
    { ngx_string("60"), ngx_string("Asia/Kuala_Lumpur") },
    { ngx_string("63"), ngx_string("Asia/Manila") },
    { ngx_string("65"), ngx_string("Asia/Singapore") },
    { ngx_string("66"), ngx_string("Asia/Bangkok") },
    { ngx_string("670"), ngx_string("Asia/Dili") },
    { ngx_string("673"), ngx_string("Asia/Brunei") },
    { ngx_string("674"), ngx_string("Pacific/Nauru") },
    { ngx_string("676"), ngx_string("Pacific/Tongatapu") },
    { ngx_string("677"), ngx_string("Pacific/Guadalcanal") },
    { ngx_string("678"), ngx_string("Pacific/Efate") },
    { ngx_string("679"), ngx_string("Pacific/Fiji") },
    { ngx_string("680"), ngx_string("Pacific/Palau") },
    { ngx_string("681"), ngx_string("Pacific/Wallis") },
    { ngx_string("682"), ngx_string("Pacific/Rarotonga") },
    { ngx_string("683"), ngx_string("Pacific/Niue") },
    { ngx_string("685"), ngx_string("Pacific/Apia") },
    { ngx_string("687"), ngx_string("Pacific/Noumea") },
    { ngx_string("688"), ngx_string("Pacific/Funafuti") },
    { ngx_string("690"), ngx_string("Pacific/Fakaofo") },
    { ngx_string("81"), ngx_string("Asia/Tokyo") },
    { ngx_string("82"), ngx_string("Asia/Seoul") },
    { ngx_string("84"), ngx_string("Asia/Ho_Chi_Minh") },
    { ngx_string("852"), ngx_string("Asia/Hong_Kong") },
    { ngx_string("853"), ngx_string("Asia/Macau") },
    { ngx_string("855"), ngx_string("Asia/Phnom_Penh") },
    { ngx_string("856"), ngx_string("Asia/Vientiane") },
    { ngx_string("880"), ngx_string("Asia/Dhaka") },
    { ngx_string("886"), ngx_string("Asia/Taipei") },
    { ngx_string("90"), ngx_string("Europe/Istanbul") },
    { ngx_string("91"), ngx_string("Asia/Kolkata") },
    { ngx_string("92"), ngx_string("Asia/Karachi") },
    { ngx_string("93"), ngx_string("Asia/Kabul") },
    { ngx_string("94"), ngx_string("Asia/Colombo") },
    { ngx_string("95"), ngx_string("Asia/Yangon") },
    { ngx_string("960"), ngx_string("Indian/Maldives") },
    { ngx_string("961"), ngx_string("Asia/Beirut") },
    { ngx_string("962"), ngx_string("Asia/Amman") },
    { ngx_string("963"), ngx_string("Asia/Damascus") },
    { ngx_string("964"), ngx_string("Asia/Baghdad") },
    { ngx_string("965"), ngx_string("Asia/Kuwait") },
    { ngx_string("966"), ngx_string("Asia/Riyadh") },
    { ngx_string("967"), ngx_string("Asia/Aden") },
    { ngx_string("968"), ngx_string("Asia/Muscat") },
    { ngx_string("971"), ngx_string("Asia/Dubai") },
    { ngx_string("972"), ngx_string("Asia/Jerusalem") },
    { ngx_string("973"), ngx_string("Asia/Bahrain") },
    { ngx_string("974"), ngx_string("Asia/Qatar") },
    { ngx_string("975"), ngx_string("Asia/Thimphu") },
    { ngx_string("977"), ngx_string("Asia/Kathmandu") },
    { ngx_string("98"), ngx_string("Asia/Tehran") },
    { ngx_string("992"), ngx_string("Asia/Dushanbe") },
    { ngx_string("993"), ngx_string("Asia/Ashgabat") },
    { ngx_string("994"), ngx_string("Asia/Baku") },
    { ngx_string("995"), ngx_string("Asia/Tbilisi") },
    { ngx_string("996"), ngx_string("Asia/Bishkek") },
    { ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_comms_address_time_zone(ngx_str_t *address, ngx_str_t *zone)
{
    ngx_str_t                  number;
    ngx_comms_address_zone_t  *row;

    if (!ngx_comms_address_is(address, "tel")) {
        return NGX_DECLINED;
    }

    number = ngx_comms_address_bare(address);

    for (row = ngx_comms_address_zones; row->code.len != 0; row++) {

        if (number.len > row->code.len + 1
            && ngx_strncmp(number.data + 1, row->code.data, row->code.len)
               == 0)
        {
            *zone = row->zone;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}
